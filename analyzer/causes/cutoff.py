"""The suspect for layers without a gradient: what stands between them and those that learn."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from deeplocalize.traces.header import Header
from deeplocalize.traces.schema import Kind

from ..findings import Finding
from ..graph import fed_by, has_weights, series_of
from ..places import layer_ref
from ..program import ACTIVATION_CLASSES, LINEAR_CLASSES, NOISE_CLASSES
from ..rules.rule import Symptom
from .cause import Case, Cause, Suspect, Target, clue

# That a layer of unknown arithmetic stops gradients, by its place: likely, and no more.
CUT_OFF = 0.6

_STILL = (Kind.WEIGHT_GRADIENT, Kind.WEIGHT_UPDATE)

_SPATIAL = (
    *("MaxPooling", "GlobalMaxPooling", "AveragePooling", "GlobalAveragePooling"),
    *("AdaptiveMaxPooling", "AdaptiveAveragePooling"),
    *("ZeroPadding", "Cropping", "UpSampling", "SpatialDropout"),
)

PASSING = (
    ACTIVATION_CLASSES
    | NOISE_CLASSES
    | LINEAR_CLASSES
    | {f"{name}{n}D" for name in _SPATIAL for n in (1, 2, 3)}
    | {"ActivityRegularization", "Add", "Average", "Concatenate", "Dot", "Identity", "Masking"}
    | {"Maximum", "Minimum", "Multiply", "RepeatVector", "Subtract", "TimeDistributed"}
    | {"UnitNormalization"}
)
"""Layers of Keras without weights that stand between others and pass gradients on."""

# More layers that may be meant than this name nothing.
MAX_NAMED = 2


def suspects(case: Case, finding: Finding) -> Iterable[Suspect]:
    """The layers without weights that may stop the gradient; none where that is not to be seen.

    A `Lambda` or a layer of the user's own, since those of Keras pass gradients on. Where a
    gradient is seen to arrive at a layer, it is that one; otherwise any before the next layer that
    learns may be it, and what is told of several is less likely of each.

    Parameters
    ----------
    finding
        A gradient or an update that stays zero.
    """
    header = case.header
    shown = case.showing(Symptom.UNCHANGED_WEIGHT, Symptom.STAYS_ZERO)
    still = {f.place.layer for f in shown if f.place.kind in _STILL}
    last = max(
        (i for i, layer in enumerate(header.layers) if layer_ref(layer) in still),
        key=lambda i: header.layers[i].order,
    )
    if _gradient(case, last, Kind.OUTPUT_GRADIENT) > 0:
        return  # it gets that far: the layer itself keeps it from its weights
    between, behind = _between(header, last)
    meant = _meant(case, between, behind)
    for i in meant if len(meant) <= MAX_NAMED else ():
        yield Suspect(
            cause=Cause.EXTRA_LAYER,
            target=Target.LAYER,
            layer=layer_ref(header.layers[i]),
            confidence=CUT_OFF / len(meant),
            symptoms=(finding.symptom,),
            evidence=(clue(finding), _told(case, i, last, behind)),
            fix="Take out what has no derivative (argmax, round, a comparison, a cast to integers, "
            "stop_gradient, NumPy), or replace it by something smooth such as softmax",
        )


def _between(header: Header, last: int) -> tuple[list[int], list[int]]:
    """Layers without weights that take, directly or not, what a layer returns; and what is next."""
    between: list[int] = []
    behind: list[int] = []
    ahead = [last]
    while ahead:
        for i in fed_by(header, ahead.pop()):
            if i in between or i in behind:
                continue
            if has_weights(header, i):
                behind.append(i)
            else:
                between.append(i)
                ahead.append(i)
    return sorted(between, key=lambda i: header.layers[i].order), behind


def _meant(case: Case, between: Sequence[int], behind: Sequence[int]) -> list[int]:
    unknown = _own_layers(case.header)
    arrives = [i for i in between if _gradient(case, i, Kind.OUTPUT_GRADIENT) > 0]
    if arrives and arrives[0] in unknown:
        return arrives[:1]
    # Before the first at which a gradient arrives; all, where it arrives behind them.
    until = between.index(arrives[0]) if arrives else len(between)
    is_seen = bool(arrives) or any(_gradient(case, i, Kind.WEIGHT_GRADIENT) > 0 for i in behind)
    candidates = [i for i in between[:until] if i in unknown]
    # A Lambda right behind is named by its class and its place alone.
    lambdas = [i for i in candidates if case.header.layers[i].class_name == "Lambda"]
    return candidates if is_seen else lambdas[:1]


def _told(case: Case, layer: int, last: int, behind: Sequence[int]) -> str:
    own, before = (layer_ref(case.header.layers[i]) for i in (layer, last))
    size = _gradient(case, layer, Kind.OUTPUT_GRADIENT)
    if size > 0:
        return (
            f"a gradient arrives at the output of {own} (rms {size:.3g} at first), and none at "
            f"{before}, whose output reaches it"
        )
    for i in behind:
        size = _gradient(case, i, Kind.WEIGHT_GRADIENT)
        if size > 0:
            return (
                f"{own} stands between {before}, which no gradient reaches, and "
                f"{layer_ref(case.header.layers[i])}, whose weights have one (rms {size:.3g} at "
                "first)"
            )
    return f"{own} takes what {before} returns, and no gradient comes back through it"


def _gradient(case: Case, layer: int, kind: Kind) -> float:
    """Largest typical rms of a layer's gradients in the first iterations; 0 without one."""
    if case.facts is None:
        return 0.0
    sizes = [case.facts.ends.early(i, "rms") for i in series_of(case.header, layer, kind)]
    return max((size for size in sizes if size > 0), default=0.0)


def _own_layers(header: Header) -> frozenset[int]:
    """Layers whose arithmetic is the user's: Lambdas, and classes that are not the framework's.

    One layer that cannot be serialised leaves the whole model without a configuration: then those
    of an unknown class.
    """
    is_told = "layers" in (header.model_config or {})
    own = set(_own_names(header.model_config))
    return frozenset(
        i
        for i, layer in enumerate(header.layers)
        if layer.class_name == "Lambda"
        or (layer.name in own if is_told else layer.class_name not in PASSING)
    )


def _own_names(config: Any) -> Iterator[str]:
    """Names of the layers in a serialised model, and in those within, that are of other modules."""
    layers = config.get("layers") if isinstance(config, Mapping) else None
    for layer in layers if isinstance(layers, list | tuple) else ():
        inner = layer.get("config") if isinstance(layer, Mapping) else None
        if not isinstance(inner, Mapping):
            continue
        if "module" in layer and not str(layer["module"]).startswith("keras."):
            yield str(inner.get("name"))
        yield from _own_names(inner)
