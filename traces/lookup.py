"""Which series of a trace a person means by a layer, a kind, a tensor and a call."""

import difflib
from collections.abc import Iterable

from .errors import TraceLookupError
from .header import Header
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
        Name, path or index in ``header.layers``; None, or what data frames have in its place, for
        every series, also those of none.
    kind, tensor, call
        As in `Series`; None for any.

    Raises
    ------
    TraceLookupError
        There is no such layer, kind, tensor or call, alone or together with the others.
    """
    found = list(range(len(header.series)))
    layer = None if is_missing(layer) else layer
    if layer is not None:
        layers = find_layers(header, layer)
        found = [i for i in found if header.series[i].layer in layers]
    if kind is not None:
        if kind not in list(Kind):
            raise TraceLookupError(_unknown("kind", kind, list(Kind)))
        found = _having(header, found, "kind", kind, _name_of(header, layer), is_misspelt=False)
    if tensor is not None:
        found = _having(header, found, "tensor", tensor, _name_of(header, layer))
    if call is not None:
        found = _having(header, found, "call", call, _name_of(header, layer))
    return found


def is_missing(layer: str | int | None) -> bool:
    """Whether no layer is given: None, or NaN, which data frames make of it."""
    return layer is None or layer != layer


def find_layers(header: Header, layer: str | int) -> set[int]:
    """Indices into ``header.layers`` of a layer given by name, path or index.

    Layers inside different nested models may share a name; a path is unique.

    Raises
    ------
    TraceLookupError
        There is none.
    """
    if isinstance(layer, int):
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
    is_misspelt: bool = True,
) -> list[int]:
    """The series whose attribute is as wanted; ``is_misspelt``: where there is none."""
    found = [i for i in series if getattr(header.series[i], attribute) == wanted]
    if not found:
        known = dict.fromkeys(str(getattr(header.series[i], attribute)) for i in series)
        where = f"{of_layer} in this trace"
        raise TraceLookupError(_unknown(attribute, wanted, known, where, is_misspelt))
    return found


def _name_of(header: Header, layer: str | int | None) -> str:
    if layer is None:
        return ""
    return f" of layer {header.layers[min(find_layers(header, layer))].name!r}"


def _unknown(
    what: str, wanted: str | int, known: Iterable[str], where: str = "", is_misspelt: bool = True
) -> str:
    """A sentence that says what there is instead, of misspelt names only the close matches."""
    names = list(dict.fromkeys(known))
    close = difflib.get_close_matches(str(wanted), names, n=3)
    if is_misspelt and close:
        return f"no {what} {wanted!r}{where}; did you mean {' or '.join(close)}?"
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return f"no {what} {wanted!r}{where}; there is {shown or 'none'}"
