"""Weights that a constraint holds: it changes them after each step, in place of the optimizer."""

from collections.abc import Mapping

from deeplocalize.traces.header import Header, Layer, Series


def constraint_of(layer: Layer, tensor: str) -> str:
    """Class and arguments of the constraint that a layer puts on a weight; empty without one.

    Keras keeps that of ``recurrent_kernel`` under ``recurrent_constraint``, and so on.
    """
    name = tensor.rpartition("/")[2]
    for key in (f"{name}_constraint", f"{name.removesuffix('_kernel')}_constraint"):
        found = layer.config.get(key)
        if found:
            return _in_words(found)
    return ""


def is_constrained(header: Header, series: Series) -> bool:
    """Whether a weight, an update of it or its gradient is that of a constrained weight."""
    layer = header.layer_of(series)
    return layer is not None and bool(constraint_of(layer, series.tensor))


def _in_words(constraint: object) -> str:
    if not isinstance(constraint, Mapping):
        return str(constraint)
    config = constraint.get("config")
    settings = config if isinstance(config, Mapping) else {}
    arguments = ", ".join(f"{key}={value}" for key, value in settings.items())
    return f"{constraint.get('class_name', 'a constraint')}({arguments})"
