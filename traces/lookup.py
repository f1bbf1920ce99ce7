"""Which series, or full tensor, a person means by a layer, a kind, a tensor and a call."""

import difflib
import math
from collections.abc import Iterable, Sequence
from numbers import Integral

from .errors import TraceLookupError
from .header import Header
from .interface import TensorEntry
from .schema import Kind


def find_series(
    header: Header,
    layer: str | int | None = None,
    kind: str | None = None,
    tensor: str | None = None,
    call: int | None = None,
) -> list[int]:
    """Indices of the series to which everything given applies, in the header's order.

    Parameters
    ----------
    header
        Of the trace.
    layer
        Name, path or index in ``header.layers``; None for every series. What data frames have in
        place of a layer, NaN, stands for series of none.
    kind, tensor, call
        As in `Series`; None for any.

    Raises
    ------
    TraceLookupError
        There is no such layer, kind, tensor or call, alone or together with the others.
    """
    found = list(range(len(header.series)))
    if is_none(layer):
        found = [i for i in found if header.series[i].layer is None]
    elif layer is not None:
        layers = find_layers(header, layer)
        found = [i for i in found if header.series[i].layer in layers]
    if kind is not None:
        if kind not in list(Kind):
            raise TraceLookupError(_unknown("kind", kind, list(Kind)))
        found = _having(header, found, "kind", kind, _name_of(header, layer), only_close=False)
    if tensor is not None:
        found = _having(header, found, "tensor", tensor, _name_of(header, layer))
    if call is not None:
        found = _having(header, found, "call", call, _name_of(header, layer))
    return found


def find_own_series(
    header: Header, layer: str | int | None, kind: str, tensor: str | None, call: int
) -> list[int]:
    """The same for what belongs to one owner: without a layer, to the batch or the step.

    Raises
    ------
    TraceLookupError
        There is none.
    """
    found = find_series(header, layer, kind, tensor, call)
    if layer is not None:
        return found
    own = [i for i in found if header.series[i].layer is None]
    if not own:
        paths = [
            layer.path
            for layer in map(header.layer_of, map(header.series.__getitem__, found))
            if layer is not None
        ]
        raise TraceLookupError(
            f"no {kind} is the batch's own; choose layer= from {_shortened(paths)}"
        )
    return own


def find_entry(
    header: Header, entries: Sequence[TensorEntry], iteration: int, what: str
) -> TensorEntry:
    """The latest of some full tensors of an iteration; ``what`` they are, in words.

    Raises
    ------
    TraceLookupError
        There is none, or they are of several series.
    """
    matching = [entry for entry in entries if entry.iteration == iteration]
    if not matching:
        known = [str(i) for i in sorted({entry.iteration for entry in entries})]
        raise TraceLookupError(
            f"no full {what} in iteration {iteration}; "
            + (f"there is one in {_shortened(known)}" if known else "there is none in this trace")
        )
    if len({entry.series for entry in matching}) > 1:
        names = ", ".join(header.series[entry.series].tensor for entry in matching)
        raise TraceLookupError(f"several tensors are {what}; choose tensor= from {names}")
    return matching[-1]


def name_of(layer: str | int | None) -> str:
    """The owner of a tensor, in words."""
    return "the batch" if layer is None or is_none(layer) else f"layer {layer!r}"


def _shortened(names: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(names))
    return ", ".join(distinct[:10]) + (", ..." if len(distinct) > 10 else "")


def is_none(layer: str | int | None) -> bool:
    """Whether this is what data frames have where a series is of no layer."""
    return isinstance(layer, float) and math.isnan(layer)


def find_layers(header: Header, layer: str | int) -> set[int]:
    """Indices into ``header.layers`` of a layer given by name, path or index.

    Layers inside different nested models may share a name; a path is unique.

    Raises
    ------
    TraceLookupError
        There is none.
    """
    if isinstance(layer, Integral):
        if not 0 <= layer < len(header.layers):
            raise TraceLookupError(
                f"no layer {layer}; the trace has {len(header.layers)} layers, counted from 0"
            )
        return {layer}
    for attribute in ("path", "name"):
        names = [getattr(candidate, attribute) for candidate in header.layers]
        if layer in names:
            return {i for i, name in enumerate(names) if name == layer}
    raise TraceLookupError(_unknown("layer", layer, [known.name for known in header.layers]))


def _having(
    header: Header,
    series: list[int],
    attribute: str,
    wanted: str | int,
    of_layer: str,
    only_close: bool = True,
) -> list[int]:
    """The series whose attribute is as wanted."""
    found = [i for i in series if getattr(header.series[i], attribute) == wanted]
    if not found:
        known = dict.fromkeys(str(getattr(header.series[i], attribute)) for i in series)
        where = f"{of_layer} in this trace"
        raise TraceLookupError(_unknown(attribute, wanted, known, where, only_close))
    return found


def _name_of(header: Header, layer: str | int | None) -> str:
    if layer is None or is_none(layer):
        return ""
    return f" of layer {header.layers[min(find_layers(header, layer))].name!r}"


def _unknown(
    what: str, wanted: str | int, known: Iterable[str], where: str = "", only_close: bool = True
) -> str:
    """A sentence that says what there is instead: only close matches, or all."""
    names = list(dict.fromkeys(known))
    close = difflib.get_close_matches(str(wanted), names, n=3)
    if only_close and close:
        return f"no {what} {wanted!r}{where}; did you mean {' or '.join(close)}?"
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return f"no {what} {wanted!r}{where}; there is {shown or 'none'}"
