"""Who produced the first non-finite value of an iteration.

A producer turns finite values into non-finite ones; everything after it only propagates. The
execution order makes the owner of the first non-finite series the producer, except in the
backward phase, where a gradient by an output is computed by the layer that took that output.
Where values around the producer were not recorded, the layers that could be meant instead are
its alternatives. Layers are given by their position in ``header.layers``.
"""

import functools
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from deeplocalize.traces.header import Header
from deeplocalize.traces.schema import Kind

from .graph import (
    fed_by,
    input_series,
    output_layers,
    series_of,
    takes_batch,
    unknown_sources,
    unseen_before,
    weights_of,
)
from .operation import backward_hint, forward_hint, largest_finite, overflow_hint
from .places import Place, layer_ref
from .program import RECURRENT_CLASSES, only_multiplies
from .window import Window

# Factor by which no layer with usual weights makes values larger.
AMPLIFIES = 1e4


class Origin(StrEnum):
    """What brought a non-finite value into being."""

    DATA = "data"
    INITIAL_WEIGHT = "initial_weight"
    CHANGED_WEIGHT = "changed_weight"
    LAYER = "layer"
    AMPLIFICATION = "amplification"
    LOSS = "loss"
    LAYER_DERIVATIVE = "layer_derivative"
    LOSS_DERIVATIVE = "loss_derivative"
    OPTIMIZER = "optimizer"
    STATE = "state"


@dataclass(frozen=True)
class Producer:
    """A layer (None: the data, the loss or the step), why it is the one, and how it came about.

    ``unseen`` are kinds of what was fed and not recorded, which may have been broken before.
    """

    origin: Origin
    layer: int | None
    explanation: str
    hint: str = ""
    alternatives: tuple[int, ...] = ()
    unseen: tuple[Kind, ...] = ()


def producer_of(header: Header, place: Place, window: Window) -> Producer:
    """Who produced the non-finite values at a place, the first of its iteration."""
    layer = header.series[place.series].layer
    if layer is None:
        return _of_the_step(header, place, window)
    match place.kind:
        case Kind.WEIGHT:
            return _of_weight(layer, place, window)
        case Kind.PREACTIVATION | Kind.OUTPUT:
            return _of_output(header, layer, place, window)
        case Kind.OUTPUT_GRADIENT | Kind.PREACTIVATION_GRADIENT:
            return _of_passed_gradient(header, layer, place, window)
        case Kind.WEIGHT_GRADIENT:
            return _of_weight_gradient(header, layer, place, window)
        case _:
            return _of_update_or_state(layer, place, window)


def amount(window: Window, series: int) -> str:
    """How many elements of a tensor are NaN or infinite, in words."""
    counts = [(window.n_nan(series), "NaN"), (window.n_inf(series), "infinite")]
    words = " and ".join(f"{count} {name}" for count, name in counts if count)
    n = int(window.value(series, "n"))
    return f"{words} of {n} elements" if n != 1 else words.removeprefix("1 ")


def _of_the_step(header: Header, place: Place, window: Window) -> Producer:
    if place.kind is not Kind.LOSS:
        held = f"the {place} of this batch has {_amount(place, window)}"
        return Producer(Origin.DATA, None, held)
    amplified = _amplified(header, place, window)
    if amplified is not None:
        return amplified
    missing = {entry.layer for entry in header.unrecorded}
    missing |= {series.layer for series in header.series if series.replayed}
    unseen = tuple(i for i in sorted(output_layers(header) & missing) if not _is_seen(window, i))
    return Producer(
        Origin.LOSS,
        None,
        "every recorded output is finite, and the loss computed from them is "
        f"{_amount(place, window)}",
        alternatives=unseen,
        unseen=tuple(filter(window.lacks, (Kind.LABEL, Kind.SAMPLE_WEIGHT))),
    )


def _amplified(header: Header, place: Place, window: Window) -> Producer | None:
    """The first layer that made values so large that a loss of them cannot be computed."""
    order = sorted(range(len(header.layers)), key=lambda i: header.layers[i].order)
    for layer in order:
        outputs = series_of(header, layer, Kind.OUTPUT)
        received = window.largest_magnitude(input_series(header, layer))
        returned = window.largest_magnitude(outputs)
        if not outputs or not returned > AMPLIFIES * max(received, 1.0):
            continue
        if returned > np.sqrt(largest_finite(header.series[outputs[0]].dtype)) / AMPLIFIES:
            return Producer(
                Origin.AMPLIFICATION,
                layer,
                f"{layer_ref(header.layers[layer])} makes values up to {returned:.3g} of inputs "
                f"up to {received:.3g}, and the loss computed from the outputs is "
                f"{_amount(place, window)}",
                "values this large overflow when a loss squares or exponentiates them",
            )
    return None


def _of_weight(layer: int, place: Place, window: Window) -> Producer:
    held = f"the {place} has {_amount(place, window)}"
    origin = Origin.CHANGED_WEIGHT
    if window.n_skipped:
        reason = f"; the {window.n_skipped} iterations before this one were not recorded"
    elif window.is_start:
        origin = Origin.INITIAL_WEIGHT
        reason = " before the first step: it was created or loaded like this"
    else:
        reason = (
            ", although the update before it was finite: something other than the optimizer "
            "changed it between two steps (a callback, an assignment, loaded weights)"
        )
    return Producer(origin, layer, held + reason)


def _of_output(header: Header, layer: int, place: Place, window: Window) -> Producer:
    preactivation = series_of(header, layer, Kind.PREACTIVATION)
    if place.kind is Kind.OUTPUT and any(map(window.is_finite, preactivation)):
        return Producer(
            Origin.LAYER,
            layer,
            f"the pre-activation of {place.layer} is finite, and its output has "
            f"{_amount(place, window)}",
            forward_hint(window, place.series, preactivation),
        )
    alternatives = unseen_before(header, layer, functools.partial(_is_seen, window))
    own = weights_of(header, layer)
    weights = " and weights" if own and all(map(window.is_finite, own)) else ""
    operations = unknown_sources(header, layer)
    takes_input = any(takes_batch(header, i) for i in (layer, *alternatives)) or bool(operations)
    unseen = (Kind.INPUT,) if takes_input and window.lacks(Kind.INPUT) else ()
    subject, received = str(place.layer), f"receives finite inputs{weights}"
    # Of a batch in float64, which Keras casts to the type in which it computes.
    largest = window.largest_magnitude(input_series(header, layer))
    dtype = header.series[place.series].dtype
    if operations:
        names = ", ".join(f'"{name}"' for name in operations)
        subject = f"{place.layer}, or an operation before it that is no layer ({names}),"
        received = "receives only finite values that were recorded"
    elif alternatives:
        received = "is the first recorded one after layers whose output is not in the trace"
    elif largest > largest_finite(dtype):
        received = f"receives inputs up to {largest:.4g}, which is infinite in {dtype}"
    elif unseen:
        received = "takes the input of the batch, which was not recorded"
    return Producer(
        Origin.LAYER,
        layer,
        f"{subject} {received}, and its {place.noun} has {_amount(place, window)}",
        _forward_hint(header, layer, place.series, window),
        alternatives,
        unseen,
    )


def _of_passed_gradient(header: Header, layer: int, place: Place, window: Window) -> Producer:
    if place.kind is Kind.PREACTIVATION_GRADIENT and any(
        map(window.is_finite, series_of(header, layer, Kind.OUTPUT_GRADIENT))
    ):
        return Producer(
            Origin.LAYER_DERIVATIVE,
            layer,
            f"{place.layer} receives a finite gradient, and its activation's derivative turns it "
            f"into {_amount(place, window)}",
            _backward_hint(header, layer, window),
        )
    takers = [i for i in _takers(header, layer) if not _receives_broken_gradient(header, i, window)]
    if not takers:
        return Producer(
            Origin.LOSS_DERIVATIVE,
            layer,
            f"the {place} has {_amount(place, window)}; it comes straight from the loss, which is "
            "finite while its derivative is not",
            backward_hint(window, series_of(header, layer, Kind.OUTPUT)),
        )
    proven = [i for i in takers if _receives_finite_gradient(header, i, window)]
    producer = max(proven or takers, key=lambda i: header.layers[i].order)
    received = (
        "receives a finite gradient" if proven else "or a layer after it (not recorded) breaks it"
    )
    return Producer(
        Origin.LAYER_DERIVATIVE,
        producer,
        f"{layer_ref(header.layers[producer])} {received}, and the gradient that it passes back "
        f"to {place.layer} has {_amount(place, window)}",
        _backward_hint(header, producer, window),
        tuple(i for i in takers if i != producer),
    )


def _takers(header: Header, layer: int) -> tuple[int, ...]:
    """Layers that take the output: of the last layer of a nested model, those that take its."""
    found, folder = fed_by(header, layer), header.layers[layer].path.rpartition("/")[0]
    if found or not folder:
        return found
    outer = next((i for i, one in enumerate(header.layers) if one.path == folder), None)
    return () if outer is None else _takers(header, outer)


def _of_weight_gradient(header: Header, layer: int, place: Place, window: Window) -> Producer:
    held = f'the gradient of its weight "{place.tensor}" has {_amount(place, window)}'
    hint = _backward_hint(header, layer, window)
    if _receives_finite_gradient(header, layer, window):
        explanation = f"{place.layer} receives a finite gradient, and {held}"
        return Producer(Origin.LAYER_DERIVATIVE, layer, explanation, hint)
    return Producer(
        Origin.LAYER_DERIVATIVE,
        layer,
        f"{place.layer} is the first whose gradients show it: {held}; the gradient that reached "
        "the layer was not recorded",
        hint,
        fed_by(header, layer),
    )


def _of_update_or_state(layer: int, place: Place, window: Window) -> Producer:
    origin, circumstance = (
        (
            Origin.OPTIMIZER,
            "although the gradient is finite: the optimizer's own arithmetic leaves the range",
        )
        if place.kind is Kind.WEIGHT_UPDATE
        else (Origin.STATE, "while nothing before it in this iteration is broken")
    )
    return Producer(origin, layer, f"the {place} has {_amount(place, window)}, {circumstance}")


def _forward_hint(header: Header, layer: int, series: int, window: Window) -> str:
    received, weights = input_series(header, layer), weights_of(header, layer)
    if not only_multiplies(header.layers[layer]) or unknown_sources(header, layer):
        return forward_hint(window, series, received, weights)
    is_recurrent = header.layers[layer].class_name in RECURRENT_CLASSES
    return overflow_hint(window, (*received, *weights), "values", is_recurrent)


def _backward_hint(header: Header, layer: int, window: Window) -> str:
    around = _around(header, layer)
    if not only_multiplies(header.layers[layer]):
        return backward_hint(window, around)
    is_recurrent = header.layers[layer].class_name in RECURRENT_CLASSES
    arriving = _arriving(header, layer)
    multiplied = (*around, *arriving, *weights_of(header, layer))
    return overflow_hint(window, multiplied, "the gradient", is_recurrent)


def _is_seen(window: Window, layer: int) -> bool:
    """Whether an output of the layer was recorded at the moment."""
    return any(map(window.is_recorded, series_of(window.header, layer, Kind.OUTPUT)))


def _amount(place: Place, window: Window) -> str:
    return amount(window, place.series)


def _around(header: Header, layer: int) -> tuple[int, ...]:
    """Series of what a layer receives and returns."""
    return (*input_series(header, layer), *series_of(header, layer, Kind.OUTPUT))


def _arriving(header: Header, layer: int) -> tuple[int, ...]:
    """Series of the gradient that reaches a layer from behind."""
    by_output = series_of(header, layer, Kind.OUTPUT_GRADIENT)
    return by_output or series_of(header, layer, Kind.PREACTIVATION_GRADIENT)


def _receives_finite_gradient(header: Header, layer: int, window: Window) -> bool:
    arriving = _arriving(header, layer)
    return bool(arriving) and all(map(window.is_finite, arriving))


def _receives_broken_gradient(header: Header, layer: int, window: Window) -> bool:
    return any(map(window.is_nonfinite, _arriving(header, layer)))
