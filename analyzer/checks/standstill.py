"""Checks of whether any weight changes at all, or is ever given a gradient."""

import math
from collections.abc import Iterator

from deeplocalize.traces.schema import Kind

from ..graph import weighted_leaves, weights_of
from ..outcome import FINE_SKILL
from ..rules.rule import Severity, Symptom
from .check import Check, Facts, Sighting
from .pace import MAX_FALL_IN_ERRORS

_COLUMNS = ("min", "max", "mean", "rms")


def _unchanged(facts: Facts, threshold: float) -> Iterator[Sighting]:
    header, ends, outcome = facts.program.header, facts.ends, facts.outcome
    weights = [i for i, series in enumerate(header.series) if series.kind is Kind.WEIGHT]
    leaves = weighted_leaves(header)
    is_whole = bool(leaves) and all(weights_of(header, i) for i in leaves)
    kinds = {series.kind for series in header.series}
    if not is_whole or Kind.WEIGHT_GRADIENT in kinds or _is_content(facts):
        return
    if all(not header.layers[i].trainable for i in leaves):
        return  # which a check of its own says
    recorded = (ends.start.recorded, ends.stop.recorded)
    if not all(map(len, recorded)) or recorded[1][-1] - recorded[0][0] < threshold:
        return
    fall = outcome.first_loss.mean - outcome.last_loss.mean
    error = math.hypot(outcome.first_loss.standard_error, outcome.last_loss.standard_error)
    if fall > MAX_FALL_IN_ERRORS * error or not all(_is_same(facts, i) for i in weights):
        return
    why = (
        "the optimizer applies no gradient"
        if Kind.WEIGHT_UPDATE in kinds
        else "no gradient reaches the optimizer, as if every weight were frozen"
    )
    yield Sighting(
        Kind.WEIGHT, header.series[weights[0]].layer, Severity.SEVERE, 0.95,
        float(outcome.n_iterations),
        f"is the same at the end of the run as at its beginning, as are all weights: {why}",
    )  # fmt: skip


def _no_gradient(facts: Facts, threshold: float) -> Iterator[Sighting]:
    header, ends, loss = facts.program.header, facts.ends, facts.program.loss
    gradients = [i for i, series in enumerate(header.series) if series.kind is Kind.WEIGHT_GRADIENT]
    weights = [i for i, series in enumerate(header.series) if series.kind is Kind.WEIGHT]
    recorded = (ends.start.recorded, ends.stop.recorded)
    if not gradients or not weights or not all(map(len, recorded)):
        return
    if recorded[1][-1] - recorded[0][0] < threshold or facts.program.target is None:
        return
    # A loss of a margin is 0 where all keep it; these are 0 only where outputs equal targets.
    is_content = facts.outcome.best_skill is not None and facts.outcome.best_skill >= FINE_SKILL
    is_multiplied = facts.outcome.last_loss.mean == 0 == facts.outcome.first_loss.mean
    if not (loss.is_distance or loss.is_crossentropy) or (is_content and not is_multiplied):
        return
    if all(ends.most(i, "rms") == 0 for i in gradients) and all(
        _is_same(facts, i) for i in weights
    ):
        yield Sighting(
            Kind.LOSS, None, Severity.SEVERE, 0.6, float(facts.outcome.n_iterations),
            "gives no weight a gradient, from the first iteration to the last, and nothing "
            "changes: it is multiplied by 0, or does not depend on the weights",
        )  # fmt: skip


def _is_content(facts: Facts) -> bool:
    """Whether there may be nothing left to learn."""
    skill = facts.outcome.best_skill
    return facts.outcome.last_loss.mean == 0 or (skill is not None and skill >= FINE_SKILL)


def _is_same(facts: Facts, series: int) -> bool:
    values = [facts.ends.both(series, column) for column in _COLUMNS]
    return all(len(column) > 1 and (column == column[0]).all() for column in values)


CHECKS = (
    Check(
        name="no weight changes", symptom=Symptom.NOTHING_TRAINED, condition=_unchanged,
        threshold=30, quantity="iterations",
        statement="No gradient of a weight was recorded, and every weight is at the end of the "
        "run what it was at its beginning.",
        reason="A training step that changes nothing trains nothing: it does not hand gradients "
        "to the optimizer, or no weight is trainable.",
        source="exact, at both ends of the run; had the loss fallen by more than "
        f"{MAX_FALL_IN_ERRORS:g} standard errors, something unseen would be trained",
        false_alarms="`fit` used to measure a loss",
    ),
    Check(
        name="no gradient anywhere", symptom=Symptom.NO_GRADIENT, condition=_no_gradient,
        threshold=30, quantity="iterations",
        statement="Every gradient of every weight is exactly 0, and no weight changes.",
        reason="A loss that is multiplied by 0 (`loss_weights`), or that is cut off from the "
        "weights, teaches nothing.",
        source="exact, at both ends of the run; only distances and cross-entropies, which are "
        "without a gradient only where outputs equal targets, and not where the run went well",
        false_alarms="a model that fits its targets bit by bit before it is trained",
    ),
)  # fmt: skip
