"""Findings of the checks: what a program shows when it is joined with what its run did."""

from collections.abc import Iterable

from .checks import CHECKS, Check, Facts, Sighting
from .findings import Finding
from .places import Place, layer_ref, place_of
from .rules.rule import Severity, Symptom

# What is so of all the data, or not at all.
_OF_ALL_DATA = {
    Symptom.CLASS_IMBALANCE,
    Symptom.CONSTANT_FEATURES,
    Symptom.FEATURE_SCALES,
    Symptom.INPUT_CONSTANT,
    Symptom.INPUT_NOT_SCALED,
    Symptom.LABELS_CONSTANT,
    Symptom.SAMPLES_IGNORED,
    Symptom.SORTED_LABELS,
    Symptom.TARGET_NOT_SCALED,
}


def look(facts: Facts) -> tuple[Finding, ...]:
    """The findings of every check; they hold from the first iteration to the last."""
    return tuple(_findings(facts))


def _findings(facts: Facts) -> Iterable[Finding]:
    for check in CHECKS:
        for sighting in check.condition(facts, check.threshold):
            yield _finding(facts, check, sighting)


def _finding(facts: Facts, check: Check, sighting: Sighting) -> Finding:
    n = facts.outcome.n_iterations
    is_guess = facts.has_few_batches and check.symptom in _OF_ALL_DATA
    few = ", in the few batches that were recorded" if is_guess else ""
    return Finding(
        rule=check.name,
        symptom=check.symptom,
        severity=Severity.NOTICE if is_guess else sighting.severity,
        place=_place(facts, sighting),
        onset=0,
        last=max(n - 1, 0),
        n_holding=n,
        n_judged=n,
        peak=sighting.value,
        peak_iteration=0,
        quantity=check.quantity,
        statement=sighting.sentence + few,
        weight=sighting.weight,
        is_dated=False,
    )


def _place(facts: Facts, sighting: Sighting) -> Place:
    header, series = facts.program.header, sighting.series
    if series < 0:
        series = facts.series(sighting.kind, sighting.layer)
    if series >= 0:
        return place_of(header, series)
    layer = None if sighting.layer is None else layer_ref(header.layers[sighting.layer])
    return Place(layer, sighting.kind, "", 0, 0, -1)
