"""Checks of whether the loss asks for what the targets say: falling, it has to mean learning."""

from collections.abc import Iterator

from deeplocalize.traces.schema import Kind

from ..outcome import LONG_ENOUGH
from ..program import n_columns
from ..rules.rule import Severity, Symptom
from .check import Check, Facts, Sighting

NOT_NEGATIVE = frozenset({"hinge", "squared_hinge", "categorical_hinge"})
"""Losses that are 0 at best, besides distances and cross-entropies."""

MIN_GROWTH = 10.0
"""Factor by which some output grows where a loss has no lower limit to approach: chosen, an order
of magnitude."""

MAX_BASE_RATE = 0.8
"""Share of one class above which accuracies say little about what was learned: chosen, so that
there is a fifth to be gained."""

MAX_GAIN = 0.02
"""Accuracy above the most frequent class's share up to which nothing was learned: chosen, a tenth
of what `MAX_BASE_RATE` leaves to be gained at least."""


def _negative(facts: Facts, threshold: float) -> Iterator[Sighting]:
    loss, outcome = facts.program.loss, facts.outcome
    lowest = min(outcome.first_loss.mean, outcome.last_loss.mean)
    is_bounded = loss.is_crossentropy or loss.is_distance or loss.name in NOT_NEGATIVE
    if is_bounded and lowest < threshold and not _is_turned(facts):
        yield Sighting(
            Kind.LOSS, None, Severity.SEVERE, 0.8, lowest,
            f"falls to {lowest:.4g}, while {loss.name} is 0 at best where labels are what it takes",
        )  # fmt: skip


def _unlimited(facts: Facts, threshold: float) -> Iterator[Sighting]:
    first, last = facts.outcome.first_loss, facts.outcome.last_loss
    spread = first.standard_error * first.n**0.5
    fall = -last.mean / max(abs(first.mean), spread) if first.mean or spread else 0.0
    if not _is_own_and_negative(facts) or fall < threshold:
        return
    ends = facts.ends
    growth = max(
        (
            ends.most(i, "rms") / ends.first(i, "rms")
            for i, series in enumerate(facts.program.header.series)
            if series.kind is Kind.OUTPUT and ends.first(i, "rms") > 0
        ),
        default=0.0,
    )
    if growth > MIN_GROWTH:
        yield _misleading(
            facts, fall, f"and outputs grow {growth:.3g}-fold: it has no least value to approach"
        )


def _leaves_targets(facts: Facts, threshold: float) -> Iterator[Sighting]:
    head, target = facts.head, facts.program.target
    if head is None or head.output < 0 or target is None or not _is_own_and_negative(facts):
        return
    if target.is_integer_valued is not False or n_columns(target) != head.n_units:
        return
    largest = max(abs(target.min or 0.0), abs(target.max or 0.0))
    early, late = (end(head.output, "rms") for end in (facts.ends.early, facts.ends.late))
    if largest > 0 and late > threshold * max(largest, early):
        yield _misleading(
            facts, late / largest,
            f"while outputs leave the targets: they reach {late:.3g} (rms) after {early:.3g} at "
            f"first, and no target is beyond {largest:.3g}",
        )  # fmt: skip


def _says_nothing(facts: Facts, threshold: float) -> Iterator[Sighting]:
    outcome = facts.outcome
    compared, accuracy = outcome.accuracy_levels, outcome.accuracy
    if compared is None or accuracy is None or outcome.n_iterations < LONG_ENOUGH:
        return
    fall = (outcome.first_loss.mean - outcome.last_loss.mean) / abs(outcome.first_loss.mean or 1.0)
    is_low = compared.trivial < MAX_BASE_RATE and accuracy < compared.trivial + MAX_GAIN
    if is_low and fall > threshold and _is_own_and_negative(facts):
        yield _misleading(
            facts, fall,
            f"while the accuracy ends at {accuracy:.3g}, and always answering the most frequent "
            f"class reaches {compared.trivial:.3g}",
        )  # fmt: skip


def _misleading(facts: Facts, value: float, sentence: str) -> Sighting:
    first, last = facts.outcome.first_loss.mean, facts.outcome.last_loss.mean
    return Sighting(
        Kind.LOSS, None, Severity.SEVERE, 0.92, value,
        f"falls from {first:.4g} to {last:.4g}, {sentence}",
    )  # fmt: skip


def _is_own_and_negative(facts: Facts) -> bool:
    """Whether the loss is one of the user's own that ends below 0, not turned by weights."""
    is_own = facts.outcome.levels is None and not facts.program.loss.is_built_in
    return is_own and facts.outcome.last_loss.mean < 0 and not _is_turned(facts)


def _is_turned(facts: Facts) -> bool:
    """Whether weights of samples turn the loss round on purpose, as policy gradients do."""
    weights, ends = facts.series(Kind.SAMPLE_WEIGHT), facts.ends
    return weights >= 0 and ends.least(weights, "min") < 0


CHECKS = (
    Check(
        name="negative loss", symptom=Symptom.LOSS_NEGATIVE, condition=_negative, threshold=-1e-3,
        quantity="loss at an end of the run",
        statement="A loss that is 0 at best is negative.",
        reason="Labels are not what the loss takes: it can fall without limit and means nothing.",
        source="definitions of the losses; a thousandth allows for rounding",
        false_alarms="losses that a layer adds and that are negative on purpose",
    ),
    Check(
        name="loss falls without limit", symptom=Symptom.MISLEADING_LOSS, condition=_unlimited,
        threshold=100.0, quantity="fall below 0 relative to the loss at the start",
        statement="A loss of the user's own falls far below 0, and outputs grow as it does.",
        reason="What has no least value is not reached by fitting the targets but by leaving them: "
        "most often the sign is turned.",
        source="two orders of magnitude, as for a loss that diverges upwards, and outputs ten "
        "times larger than at first; likelihoods fall with the logarithm of what they fit",
        false_alarms="critics of adversarial training without any bound",
    ),
    Check(
        name="outputs leave the targets", symptom=Symptom.MISLEADING_LOSS,
        condition=_leaves_targets, threshold=5.0,
        quantity="rms of the outputs relative to the largest target",
        statement="A loss of the user's own falls below 0 while outputs move away from targets.",
        reason="Where outputs are to equal targets, nothing is gained beyond the largest of them: "
        "most often the sign is turned.",
        source="five times the largest target and the first outputs; only targets that are no "
        "classes, one for each output",
        false_alarms="outputs that are compared with targets on another scale on purpose",
    ),
    Check(
        name="loss falls and accuracy does not rise", symptom=Symptom.MISLEADING_LOSS,
        condition=_says_nothing, threshold=1.0,
        quantity="fall of the loss relative to its first level",
        statement="A loss of the user's own falls below 0 by more than it was, and the accuracy "
        "stays at that of always answering the same.",
        reason="The loss rewards something other than right answers: most often its sign is "
        "turned.",
        source=f"the whole first level; accuracies within {MAX_GAIN:g} of the most frequent "
        f"class, where that has less than {MAX_BASE_RATE:g} of the samples",
        false_alarms="an accuracy that compares something other than what is learned",
    ),
)  # fmt: skip
