"""The model as a graph of layers: who feeds whom, and which outputs the trace does not hold.

Layers are given by their position in ``header.layers``.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from deeplocalize.traces.header import Header
from deeplocalize.traces.schema import Kind


def feeding(header: Header, layer: int) -> tuple[int, ...]:
    """Layers whose output the given layer takes."""
    places = _places(header)
    return tuple(places[name] for name in header.layers[layer].inbound if name in places)


def fed_by(header: Header, layer: int) -> tuple[int, ...]:
    """Layers that take the given layer's output."""
    return tuple(i for i in range(len(header.layers)) if layer in feeding(header, i))


def is_known(header: Header) -> bool:
    """Whether the trace tells what stands between layers, or that nothing does.

    A subclassed model may do anything in its ``call``.
    """
    return (
        not header.framework.startswith("keras/")
        or header.model_class in ("Sequential", "Functional")
        or any(layer.inbound for layer in header.layers)
        or "layers" in (header.model_config or {})
    )


def declared_outputs(header: Header) -> tuple[str, ...]:
    """Names of the layers or operations whose results a functional model returns."""
    return tuple(_names((header.model_config or {}).get("output_layers")))


def _names(declared: Any) -> Iterator[str]:
    """From ``[name, node, tensor]`` within any structure of lists and mappings."""
    if isinstance(declared, Mapping):
        for one in declared.values():
            yield from _names(one)
    elif isinstance(declared, list | tuple) and declared:
        if isinstance(declared[0], str):
            yield declared[0]
        else:
            for one in declared:
                yield from _names(one)


def is_followed(header: Header, layer: int) -> bool:
    """Whether what takes the layer's output is known: a layer, or the next one in a row."""
    is_row = not any(other.inbound for other in header.layers)
    return is_known(header) and (is_row or bool(fed_by(header, layer)))


def output_layers(header: Header) -> frozenset[int]:
    """Layers whose output nothing else takes; where the graph is not known, the last one.

    What an operation between layers takes is not known: it may be any layer before the one that
    it feeds.
    """
    own = [i for i, layer in enumerate(header.layers) if layer.index >= 0]
    declared = set(declared_outputs(header))
    if declared and declared <= {header.layers[i].name for i in own}:
        return frozenset(i for i in own if header.layers[i].name in declared)
    last = max(own, key=lambda i: header.layers[i].order, default=-1)
    sources, known = _sources(header), _known_names(header)
    taken = {source for i in own for source in sources[i]}
    fed_by_operations = [i for i in own if not known.issuperset(header.layers[i].inbound)]
    behind = max((header.layers[i].order for i in fed_by_operations), default=-1)
    return frozenset(
        i
        for i in own
        if i == last or (taken and i not in taken and header.layers[i].order >= behind)
    )


def feeding_any(header: Header, layers: Collection[int]) -> frozenset[int]:
    """Layers whose values reach one of the given, as far as the graph is known."""
    sources = _sources(header)
    found: set[int] = set()
    ahead = list(layers)
    while ahead:
        new = set(sources[ahead.pop()]) - found
        found |= new
        ahead.extend(new)
    return frozenset(found)


def has_weights(header: Header, layer: int) -> bool:
    """Whether a layer, or one within it, has weights, built before the first step or in it."""
    own = _within(header, layer)
    return any(header.layers[i].n_parameters > 0 for i in own) or bool(weights_of(header, layer))


def weights_of(header: Header, layer: int) -> tuple[int, ...]:
    """Series of the weights of a layer and of those within it."""
    own = _within(header, layer)
    return tuple(
        i
        for i, series in enumerate(header.series)
        if series.layer in own and series.kind is Kind.WEIGHT
    )


def weighted_leaves(header: Header) -> tuple[int, ...]:
    """Layers with weights that hold no other layers."""
    folders = {layer.path.rpartition("/")[0] for layer in header.layers}
    return tuple(
        i
        for i, layer in enumerate(header.layers)
        if layer.n_parameters > 0 and layer.path not in folders
    )


def _within(header: Header, layer: int) -> set[int]:
    inside = f"{header.layers[layer].path}/"
    return {layer, *(i for i, one in enumerate(header.layers) if one.path.startswith(inside))}


def unknown_sources(header: Header, layer: int) -> tuple[str, ...]:
    """Names of what a layer takes and the trace has no layer for: operations between layers."""
    known = _known_names(header)
    return tuple(name for name in header.layers[layer].inbound if name not in known)


def _known_names(header: Header) -> frozenset[str]:
    """Names of layers and of inputs; other names in ``inbound`` are those of operations."""
    return frozenset((*_places(header), *_input_layers(header)))


def _input_layers(header: Header) -> frozenset[str]:
    """Names of the inputs of the model and of those within it."""
    own = (layer.name for layer in header.layers if layer.class_name == "InputLayer")
    return frozenset((*own, *_input_names(header.model_config)))


def _input_names(config: Any) -> Iterator[str]:
    """Names of the inputs of a serialised model and of those within it."""
    if not isinstance(config, Mapping):
        return
    layers = config.get("layers")
    for layer in layers if isinstance(layers, Sequence) else ():
        if isinstance(layer, Mapping):
            inner = layer.get("config")
            if layer.get("class_name") == "InputLayer" and isinstance(inner, Mapping):
                yield str(inner.get("name"))
            yield from _input_names(inner)


def series_of(header: Header, layer: int, kind: Kind) -> tuple[int, ...]:
    """Series of the given kind that belong to a layer."""
    return tuple(
        i for i, series in enumerate(header.series) if series.layer == layer and series.kind is kind
    )


def input_series(header: Header, layer: int) -> tuple[int, ...]:
    """Series that hold what a layer receives: outputs of others, or the inputs of the batch."""
    sources = feeding(header, layer)
    found = tuple(i for other in sources for i in series_of(header, other, Kind.OUTPUT))
    if found or any(header.layers[other].class_name != "InputLayer" for other in sources):
        return found
    if not sources and not _is_first(header, layer):
        return ()
    return tuple(i for i, series in enumerate(header.series) if series.kind is Kind.INPUT)


def takes_batch(header: Header, layer: int) -> bool:
    """Whether an input of the batch reaches a layer without another layer before it."""
    names = header.layers[layer].inbound
    takes_input = not set(names).isdisjoint(_input_layers(header))
    folder = header.layers[layer].path.rpartition("/")[0]
    outer = _places(header).get(folder)
    if outer is not None:
        is_entered_here = takes_input or (not names and _is_first(header, layer))
        return is_entered_here and takes_batch(header, outer)
    return takes_input or (not names and _is_first(header, layer))


def _is_first(header: Header, layer: int) -> bool:
    """Whether no layer comes before it: of a layer within a model, none beside it."""
    folder, order = header.layers[layer].path.rpartition("/")[0], header.layers[layer].order
    siblings = [
        one.order
        for one in header.layers
        if one.class_name != "InputLayer" and one.path.rpartition("/")[0] == folder
    ]
    return order <= min(siblings, default=order)


def unseen_before(header: Header, layer: int, is_seen: Callable[[int], bool]) -> tuple[int, ...]:
    """Layers whose output is not seen, and from which values reach the given layer.

    Follows the inbound layers as far as outputs are missing, in order of execution. Where the
    model's graph is not known, the layers that are known to have an output, and that run between
    the last one seen and the given layer.

    Parameters
    ----------
    is_seen
        Whether some output of a layer was recorded at the moment in question.
    """
    if not any(other.inbound for other in header.layers):
        return _unseen_in_order(header, layer, is_seen)
    found: set[int] = set()
    ahead = list(feeding(header, layer))
    while ahead:
        other = ahead.pop()
        is_input = header.layers[other].class_name == "InputLayer"
        if other in found or is_input or is_seen(other):
            continue
        found.add(other)
        ahead.extend(feeding(header, other))
    return tuple(sorted(found, key=lambda i: header.layers[i].order))


def _sources(header: Header) -> list[tuple[int, ...]]:
    """`feeding`, for every layer."""
    places = _places(header)
    return [
        tuple(places[name] for name in layer.inbound if name in places) for layer in header.layers
    ]


def _places(header: Header) -> dict[str, int]:
    """Layers by path, and by bare name where that is unambiguous enough: the first so called."""
    names = {layer.name: i for i, layer in reversed(list(enumerate(header.layers)))}
    return names | {layer.path: i for i, layer in enumerate(header.layers)}


def _unseen_in_order(header: Header, layer: int, is_seen: Callable[[int], bool]) -> tuple[int, ...]:
    order = header.layers[layer].order
    have_output = {series.layer for series in header.series if series.kind is Kind.OUTPUT}
    have_output |= {entry.layer for entry in header.unrecorded if entry.kind is Kind.OUTPUT}
    before = [i for i in have_output if i is not None and header.layers[i].order < order]
    since = max((header.layers[i].order for i in before if is_seen(i)), default=-1)
    found = [i for i in before if header.layers[i].order > since]
    return tuple(sorted(found, key=lambda i: header.layers[i].order))
