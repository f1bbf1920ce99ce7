"""Which series each rule looks at, and the joining of their context to a chunk's statistics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from deeplocalize.traces.header import Header, Series
from deeplocalize.traces.schema import Kind
from deeplocalize.traces.table import Block

from .constraint import is_constrained
from .graph import has_weights, output_layers
from .rules.rule import Rule, Scope
from .rules.view import Index, Values, View

# The head of the run: few iterations, so that a run that explodes early has one too.
N_BASELINE_ITERATIONS = 5

GRADIENTS = (Kind.OUTPUT_GRADIENT, Kind.PREACTIVATION_GRADIENT, Kind.WEIGHT_GRADIENT)
PEAK_KINDS = (Kind.WEIGHT_GRADIENT, Kind.WEIGHT_UPDATE)


@dataclass(frozen=True, eq=False)
class Watch:
    """A rule with the series it applies to, and their companions (-1: none)."""

    rule: Rule
    series: Index
    companions: Mapping[Kind, Index]


def watches(header: Header, rules: Sequence[Rule]) -> tuple[Watch, ...]:
    """One watch per rule, also for rules that find no series."""
    outputs = output_layers(header)
    lookup = {_key(series, series.kind): i for i, series in enumerate(header.series)}
    return tuple(_watch(rule, header, outputs, lookup) for rule in rules)


def baseline(header: Header, block: Block) -> Values:
    """Typical rms of each series in its first recorded iterations; NaN for those never seen.

    The geometric mean, so that one early explosion does not pass for the normal size.
    """
    statistics = block.statistics
    if not len(block.recorded):
        return np.full(len(header.series), np.nan)
    is_usable = (statistics["n"] > 0) & ~np.isnan(statistics["rms"])
    is_early = is_usable & (np.cumsum(is_usable, axis=0) <= N_BASELINE_ITERATIONS)
    scale = np.where(_is_gradient(header), loss_scale(block), 1.0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        logs = np.where(is_early, np.log(statistics["rms"] / scale), 0.0)
        result: Values = np.exp(logs.sum(axis=0) / is_early.sum(axis=0))
    return result


def views(
    header: Header, chosen: Sequence[Watch], baseline_rms: Values, block: Block
) -> tuple[View, ...]:
    """What each watch's condition sees of a block, in the order of the watches."""
    scale = loss_scale(block)
    peaks = {kind: _peak_rms(header, block, kind, scale) for kind in PEAK_KINDS}
    layers = {kind: _layer_peak_rms(header, block, kind, scale) for kind in PEAK_KINDS}
    owners = np.array([-1 if s.layer is None else s.layer for s in header.series], dtype=np.intp)
    n_units = np.array([_n_units(series) for series in header.series], dtype=np.float64)
    return tuple(
        View(
            statistics=block.statistics,
            series=watch.series,
            companions=watch.companions,
            baseline_rms=baseline_rms[watch.series],
            peak_rms=peaks,
            layers=owners[watch.series],
            layer_peaks=layers,
            loss_scale=scale,
            n_units=n_units[watch.series],
        )
        for watch in chosen
    )


def loss_scale(block: Block) -> Values:
    """Factor of loss scaling for each statistics row, shape (rows, 1)."""
    row = np.searchsorted(block.iterations["iteration"], block.recorded)
    scale: Values = block.iterations["loss_scale"][row][:, None]
    return scale


def _watch(
    rule: Rule,
    header: Header,
    outputs: frozenset[int],
    lookup: Mapping[tuple[object, ...], int],
) -> Watch:
    chosen = [
        i
        for i, series in enumerate(header.series)
        if _covers(rule.scope, header, series, outputs)
        and all(_key(series, kind) in lookup for kind in rule.scope.companions)
    ]
    companions = {
        kind: np.array(
            [lookup.get(_key(header.series[i], kind), -1) for i in chosen], dtype=np.intp
        )
        for kind in rule.scope.companions
    }
    return Watch(rule, np.array(chosen, dtype=np.intp), companions)


def _covers(scope: Scope, header: Header, series: Series, outputs: frozenset[int]) -> bool:
    layer = header.layer_of(series)
    activation = layer.activation if layer is not None else None
    return (
        series.kind in scope.kinds
        and len(series.shape) >= scope.min_axes
        and (not scope.activations or activation in scope.activations)
        and activation not in scope.excluded_activations
        and not (scope.hidden_layers_only and series.layer in outputs)
        and not (scope.parametric_layers_only and not _has_weights(header, series))
        and not (scope.free_weights_only and is_constrained(header, series))
    )


def _has_weights(header: Header, series: Series) -> bool:
    return series.layer is not None and has_weights(header, series.layer)


def _key(series: Series, kind: Kind) -> tuple[object, ...]:
    return (series.layer, kind, series.tensor)


def _is_gradient(header: Header) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.array([series.kind in GRADIENTS for series in header.series], dtype=bool)


def _peak_rms(header: Header, block: Block, kind: Kind, scale: Values) -> Values:
    index = [i for i, series in enumerate(header.series) if series.kind is kind]
    rms = block.statistics["rms"][:, index]
    if not index:
        return np.full((len(rms), 1), np.nan)
    peak: Values = np.fmax.reduce(rms, axis=1)[:, None]
    return peak / scale if kind in GRADIENTS else peak


def _layer_peak_rms(header: Header, block: Block, kind: Kind, scale: Values) -> Values:
    """Largest rms of a layer's kernels, shape (rows, layers + 1); NaN without, as in the last."""
    rms = block.statistics["rms"]
    peak = np.full((len(rms), len(header.layers) + 1), np.nan)
    for i, series in enumerate(header.series):
        if series.kind is kind and series.layer is not None and len(series.shape) >= 2:
            peak[:, series.layer] = np.fmax(peak[:, series.layer], rms[:, i])
    return peak / scale if kind in GRADIENTS else peak


def _n_units(series: Series) -> int:
    return series.shape[-1] or 1 if len(series.shape) >= 2 else 1
