"""What a diagnosis rests on: how much was recorded, what could be judged, what was not seen."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from deeplocalize.traces.header import Header, Opening
from deeplocalize.traces.schema import Kind

from .certainty import replayed_series
from .engine import Replay
from .places import LayerRef, layer_ref
from .rules import CURVE_RULES
from .rules.rule import Rule


@dataclass(frozen=True)
class Unjudged:
    """A rule that could not judge this run, and what it would need."""

    rule: str
    needs: str


@dataclass(frozen=True)
class Missing:
    """Tensors that the trace does not hold, and why."""

    kind: Kind
    layer: LayerRef | None
    reason: str


@dataclass(frozen=True)
class Replayed:
    """Tensors that were recorded by replaying the step in some iterations.

    ``schedule`` says in which, or why in none; ``n_exact`` of ``n_iterations`` replays repeated
    their step bit by bit.
    """

    schedule: str
    n_series: int
    n_iterations: int
    n_exact: int

    def __str__(self) -> str:
        if not self.n_series:
            return f"no tensors ({self.schedule})"
        return (
            f"{self.n_series} tensors in {self.n_iterations} iterations, {self.n_exact} of them "
            f"exactly ({self.schedule}, and where something first is not finite)"
        )


@dataclass(frozen=True)
class Coverage:
    """How far a verdict reaches.

    ``n_recorded`` of ``n_iterations`` have statistics, and stand for ``n_covered``; ``n_series``
    counts the series per kind. ``thinned`` says which series have them less often, by the pattern
    of their schedule.
    ``opening`` says what the trace holds for trying fixes; empty if nobody asked for that.
    """

    n_iterations: int
    n_recorded: int
    n_covered: int
    n_series: Mapping[Kind, int]
    judged: tuple[str, ...]
    unjudged: tuple[Unjudged, ...]
    missing: tuple[Missing, ...]
    replay: Replayed | None = None
    opening: str = ""
    thinned: tuple[str, ...] = ()

    @property
    def unjudged_by_need(self) -> Mapping[str, tuple[str, ...]]:
        """The rules that could not judge, by what they would need."""
        by_need: dict[str, tuple[str, ...]] = {}
        for entry in self.unjudged:
            by_need[entry.needs] = (*by_need.get(entry.needs, ()), entry.rule)
        return by_need

    @property
    def extent(self) -> str:
        """In how many iterations statistics were taken, in words."""
        counted = f"{self.n_recorded} of {self.n_iterations} iterations"
        if not self.thinned:
            return counted
        return f"{counted}, not every series in each of them: {', '.join(self.thinned)}"


def coverage_of(replay: Replay) -> Coverage:
    """The coverage of a replayed trace."""
    header, evidence = replay.header, replay.evidence
    is_thinned = evidence.n_recorded < evidence.n_iterations
    needs = {
        watch.rule.name: _rule_needs(
            watch.rule, int(runs.length.max(initial=0)), len(watch.series), is_thinned
        )
        for watch, runs in zip(replay.watches, evidence.runs, strict=True)
    }
    accuracies = [
        curve.n_values for i, curve in evidence.metrics.items() if "acc" in header.series[i].tensor
    ]
    for rule in CURVE_RULES:
        n_values = evidence.loss.n_values if rule.kind is Kind.LOSS else max(accuracies, default=0)
        needs[rule.name] = (
            "" if n_values >= rule.patience else f"{rule.patience} iterations with a {rule.kind}"
        )
    return Coverage(
        n_iterations=evidence.n_iterations,
        n_recorded=evidence.n_recorded,
        n_covered=evidence.n_covered,
        n_series=dict(Counter(series.kind for series in header.series)),
        judged=tuple(name for name, need in needs.items() if not need),
        unjudged=tuple(Unjudged(name, need) for name, need in needs.items() if need),
        missing=_missing(header),
        replay=_replayed(replay),
        opening=_opening(header.opening),
        thinned=_thinned(header),
    )


def _thinned(header: Header) -> tuple[str, ...]:
    by_pattern = header.schedule.get("statistics")
    if not isinstance(by_pattern, Mapping):
        return ()
    unmatched = header.schedule.get("unmatched", ())
    return tuple(
        f"{pattern} {name}" for pattern, name in by_pattern.items() if pattern not in unmatched
    )


def _opening(opening: Opening | None) -> str:
    if opening is None:
        return ""
    if opening.obstacle:
        return f"the training cannot be repeated: {opening.obstacle}"
    return (
        f"the batches of the first epoch, at most {opening.max_batches} and "
        f"{opening.max_bytes >> 20} MiB of them"
    )


def _rule_needs(rule: Rule, length: int, n_series: int, is_thinned: bool) -> str:
    """What a rule lacks to judge; empty if nothing."""
    if not n_series:
        kinds = " or ".join(rule.scope.kinds)
        activations = "/".join(sorted(rule.scope.activations))
        return f"recorded {kinds}" + (f" of layers with {activations}" if activations else "")
    if length < rule.patience:
        which = f" {rule.applies}" if rule.applies else ""
        wanted = f"{rule.patience} iterations" if rule.patience > 1 else "an iteration"
        counted = f"as which the recorded ones count {length}" if is_thinned else f"not {length}"
        return f"{wanted}{which}, {counted}"
    return ""


def _replayed(replay: Replay) -> Replayed | None:
    schedule = replay.header.schedule.get("exact")
    if schedule is None:
        return None
    return Replayed(
        schedule=str(schedule),
        n_series=len(replayed_series(replay.header)),
        n_iterations=replay.evidence.n_replayed,
        n_exact=replay.evidence.n_exact,
    )


def _missing(header: Header) -> tuple[Missing, ...]:
    return tuple(
        Missing(
            entry.kind,
            None if entry.layer is None else layer_ref(header.layers[entry.layer]),
            entry.reason,
        )
        for entry in header.unrecorded
    )
