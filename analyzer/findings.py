"""Findings: what the rules saw, where, since when and how strongly."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from deeplocalize.traces.header import Header
from deeplocalize.traces.schema import Kind

from .curve import Curve
from .engine import Replay
from .evidence import NEVER, Runs
from .places import Place, place_of
from .rules import CURVE_RULES
from .rules.learning import CurveRule, curve_view
from .rules.levels import Levels, accuracy_levels, levels_of
from .rules.rule import Extent, Rule, Severity, Symptom

CURVE_SYMPTOMS = frozenset(rule.symptom for rule in CURVE_RULES)


@dataclass(frozen=True)
class Finding:
    """A symptom of one tensor.

    ``onset`` and ``last`` are iterations; ``n_holding`` of ``n_judged`` iterations show the
    symptom. ``peak`` is the largest measure among them, of which ``quantity`` says what it
    is, and ``statement`` is the predicate to the place as subject. ``weight`` is how likely
    this alone would explain a fault: 1 where a rule leaves that to the causes. Not ``is_dated``
    is what a program or a whole run shows: it did not begin at its onset, the run did.
    """

    rule: str
    symptom: Symptom
    severity: Severity
    place: Place
    onset: int
    last: int
    n_holding: int
    n_judged: int
    peak: float
    peak_iteration: int
    quantity: str
    statement: str
    weight: float = 1.0
    is_dated: bool = True

    def __str__(self) -> str:
        return f"{self.place} {self.statement}"

    @property
    def in_numbers(self) -> str:
        """The finding as a piece of evidence: since when, and how strongly."""
        if not self.is_dated:
            return f"the {self} ({self.quantity}: {self.peak:.3g})"
        # What was seen before the stretch in question has another time.
        is_within = self.peak_iteration >= self.onset
        at = f"at iteration {self.peak_iteration}" if is_within else "at most"
        return f"the {self} since iteration {self.onset} ({self.quantity}: {self.peak:.3g} {at})"


def find(replay: Replay) -> tuple[Finding, ...]:
    """Every finding of a replayed trace, in the order of (onset, position)."""
    header, evidence = replay.header, replay.evidence
    found = [
        finding
        for watch, runs in zip(replay.watches, evidence.runs, strict=True)
        for finding in _of_rule(header, watch.rule, watch.series.tolist(), runs)
    ]
    found += _of_curves(replay)
    return tuple(sorted(_with_taint(header, found), key=order))


def first_of_the_worst(findings: Iterable[Finding]) -> Finding | None:
    """The earliest (onset, position) among the findings of the highest harmful severity.

    Whole curves show that something is wrong, not where: they come last.
    """
    harmful = [finding for finding in findings if finding.severity >= Severity.SEVERE]
    worst = max((finding.severity for finding in harmful), default=None)
    return min(
        (finding for finding in harmful if finding.severity == worst),
        key=lambda finding: (finding.symptom in CURVE_SYMPTOMS, *order(finding)),
        default=None,
    )


def order(finding: Finding) -> tuple[int, int, int]:
    """The key by which findings are in order: onset, position, and the severe ones first."""
    return finding.onset, finding.place.position, -finding.severity


def _of_rule(header: Header, rule: Rule, series: list[int], runs: Runs) -> Iterable[Finding]:
    onsets = _onsets(rule, runs)
    for column, i in enumerate(series):
        if onsets[column] == NEVER:
            continue
        yield Finding(
            rule=rule.name,
            symptom=rule.symptom,
            severity=rule.severity,
            place=place_of(header, i),
            onset=onsets[column],
            last=int(runs.last[column]),
            n_holding=int(runs.n_holding[column]),
            n_judged=int(runs.n_rows[column]),
            peak=float(runs.peak[column]),
            peak_iteration=int(runs.peak_iteration[column]),
            quantity=rule.quantity,
            statement=rule.statement,
        )


def _onsets(rule: Rule, runs: Runs) -> list[int]:
    """The onset per series that the rule's extent asks for, or `NEVER`."""
    if rule.extent is Extent.FIRST:
        return [int(onset) for onset in runs.onset]
    is_long_enough = runs.tail >= rule.patience
    if rule.extent is Extent.WHOLE:
        is_long_enough &= runs.tail == runs.length
    return [
        int(start) if lasts else NEVER
        for start, lasts in zip(runs.tail_start, is_long_enough, strict=True)
    ]


def _of_curves(replay: Replay) -> Iterable[Finding]:
    header, evidence = replay.header, replay.evidence
    loss_series = [i for i, series in enumerate(header.series) if series.kind is Kind.LOSS]
    loss_place = (
        place_of(header, loss_series[0]) if loss_series else Place(None, Kind.LOSS, "", 0, 0, -1)
    )
    curves = [(loss_place, evidence.loss, levels_of(header))]
    curves += [
        (place_of(header, i), curve, accuracy_levels(header))
        for i, curve in evidence.metrics.items()
        if "acc" in header.series[i].tensor
    ]
    for place, curve, levels in curves:
        for rule in CURVE_RULES:
            if rule.kind is place.kind:
                yield from _of_curve(rule, place, curve, levels)


def _of_curve(
    rule: CurveRule, place: Place, curve: Curve, levels: Levels | None
) -> Iterable[Finding]:
    if curve.n_values < rule.patience:
        return
    view = curve_view(curve, levels)
    if not rule.condition(view, rule.threshold):
        return
    first, last = curve.first * curve.width, (curve.first + len(curve.n)) * curve.width - 1
    yield Finding(
        rule=rule.name,
        symptom=rule.symptom,
        severity=rule.severity if levels is not None else Severity.NOTICE,
        place=place,
        onset=first,
        last=last,
        n_holding=curve.n_values,
        n_judged=curve.n_values,
        peak=rule.measure(view),
        peak_iteration=last,
        quantity=rule.quantity,
        is_dated=False,
        statement=f"{rule.statement} ({view.head.mean:.4g} at first, {view.tail.mean:.4g} at "
        f"last{'' if levels is None else f'; {levels.trivial:.4g} needs no learning'})",
    )


def _with_taint(header: Header, findings: Iterable[Finding]) -> list[Finding]:
    """Raise what turned non-finite in the very iteration in which the step broke, or later.

    What was non-finite earlier without breaking the step is contained and stays a notice. In
    a trace that records neither losses nor weights, every non-finite tensor counts.
    """
    found = list(findings)
    nonfinite = [
        f for f in found if f.symptom is Symptom.NON_FINITE and f.place.kind is not Kind.METRIC
    ]
    is_decidable = any(
        series.kind in (Kind.LOSS, Kind.WEIGHT, Kind.WEIGHT_GRADIENT, Kind.WEIGHT_UPDATE)
        for series in header.series
    )
    decisive = [f for f in nonfinite if f.severity is Severity.FATAL or not is_decidable]
    broken = min((f.onset for f in decisive), default=NEVER)
    return [
        replace(f, severity=Severity.FATAL) if f in nonfinite and f.onset >= broken else f
        for f in found
    ]
