"""Checks of the course that the loss took."""

from collections.abc import Iterator
from itertools import pairwise

from deeplocalize.traces.schema import Kind

from ..outcome import LONG_ENOUGH, POOR_SKILL, State
from ..rules.rule import Severity, Symptom
from .check import Check, Facts, Sighting

MIN_EPOCHS = 8
"""Fewer epochs show no oscillation."""


def _little_learned(facts: Facts, threshold: float) -> Iterator[Sighting]:
    outcome = facts.outcome
    # Of a run that came to next to nothing, the conclusion says so.
    is_judged = outcome.n_iterations >= LONG_ENOUGH and not outcome.is_little
    if (
        outcome.state is State.POOR
        and is_judged
        and outcome.best_skill is not None
        and outcome.best_skill < threshold
    ):
        yield Sighting(
            Kind.LOSS, None, Severity.NOTICE, 0.2, outcome.best_skill,
            f"came {max(outcome.best_skill, 0.0):.0%} of the way from always answering the same "
            f"to perfection ({outcome})",
        )  # fmt: skip


def _oscillating(facts: Facts, threshold: float) -> Iterator[Sighting]:
    outcome, losses = facts.outcome, facts.epochs.curve("loss")
    later = losses[len(losses) // 2 :]
    if len(losses) < MIN_EPOCHS:
        return
    level = outcome.levels.span if outcome.levels is not None else losses[0]
    if level <= 0:
        return
    moves = [after - before for before, after in pairwise(later)]
    n_turns = sum(one * other < 0 for one, other in pairwise(moves))
    size = sum(map(abs, moves)) / len(moves) / level
    if size > threshold and 2 * n_turns >= len(moves) - 1:
        yield Sighting(
            Kind.LOSS, None, facts.harm, 0.6, size,
            f"goes up and down from epoch to epoch, by {size:.0%} of {level:.3g} on average, and "
            f"turned {n_turns} times in the last {len(later)} epochs",
        )  # fmt: skip


def _validation_gap(facts: Facts, threshold: float) -> Iterator[Sighting]:
    outcome = facts.outcome
    trained, validated = facts.epochs.curve("loss"), facts.epochs.curve("val_loss")
    if not trained or not validated:
        return
    level = outcome.levels.span if outcome.levels is not None else trained[0]
    gap = (validated[-1] - trained[-1]) / level if level > 0 else 0.0
    if gap > threshold:
        best = min(validated)
        after = len(validated) - 1 - validated.index(best)
        worse = f", {after} epochs after its best, {best:.4g}" if after else ""
        yield Sighting(
            Kind.LOSS, None, Severity.NOTICE, 0.2, gap,
            f"is {trained[-1]:.4g} in training and {validated[-1]:.4g} in validation{worse}: the "
            "model knows its training data better than new ones",
        )  # fmt: skip


CHECKS = (
    Check(
        name="little learned", symptom=Symptom.LITTLE_LEARNED, condition=_little_learned,
        threshold=POOR_SKILL, quantity="skill",
        statement="The run came less than half of the way from always answering the same to "
        "perfection.",
        reason="Either the data hold no more, or something keeps the model from learning it; both "
        "look alike from here.",
        source="half of the way, in 100 iterations or more; always a notice, and below a fifth no "
        "run is called healthy",
        false_alarms="noisy data: as a notice it is none",
    ),
    Check(
        name="loss oscillates", symptom=Symptom.LOSS_OSCILLATING, condition=_oscillating,
        threshold=0.1, quantity="mean change of an epoch's loss relative to the trivial level",
        statement="The mean loss of an epoch goes up and down by a tenth of the trivial level.",
        reason="Epochs see the same data: what differs is the weights, thrown about by steps that "
        "are too large.",
        source="a tenth of what needs no learning, turning in every other epoch of the second "
        "half; a notice unless the run failed",
        false_alarms="learning rates that restart; epochs of a few batches",
    ),
    Check(
        name="worse on new data", symptom=Symptom.VALIDATION_GAP, condition=_validation_gap,
        threshold=0.2, quantity="validation loss less training loss, relative to the trivial level",
        statement="The loss in validation is larger than in training.",
        reason="The model has learned its training data by heart: stop earlier, regularise, or "
        "find more data.",
        source="a fifth of the loss that needs no learning (where that is not known, of the "
        "first epoch's loss); always a notice, since the training itself works",
        false_alarms="validation data of another kind: as a notice it is none",
    ),
)  # fmt: skip
