"""The check of a learning rate that its schedule takes away too early."""

from collections.abc import Iterator

from deeplocalize.traces.schema import Kind

from ..optimizer import optimizer_facts
from ..outcome import LITTLE_SKILL
from ..rules.rule import Severity, Symptom
from .check import Check, Facts, Sighting

# Share of its largest value below which a learning rate moves nothing that it has not moved yet.
NOTHING_LEFT = 1e-3


def _dying(facts: Facts, threshold: float) -> Iterator[Sighting]:
    rates = facts.rates
    if not rates.largest or facts.harm_below(LITTLE_SKILL) is Severity.NOTICE:
        return
    share = rates.share_below(NOTHING_LEFT * rates.largest)
    if share >= threshold and rates.values[-1] < NOTHING_LEFT * rates.largest:
        optimizer = optimizer_facts(facts.program.header)
        yield Sighting(
            Kind.WEIGHT_UPDATE, None, Severity.SEVERE, 0.94, share,
            f"comes from {optimizer.class_name} with a learning rate that falls from "
            f"{rates.largest:.3g} to {rates.values[-1]:.3g}: for {share:.0%} of the run it is less "
            "than a thousandth of what it was",
        )  # fmt: skip


CHECKS = (
    Check(
        name="learning rate falls to nothing", symptom=Symptom.DYING_RATE, condition=_dying,
        threshold=0.75, quantity="share of the run",
        statement="The learning rate is gone before the run has begun in earnest.",
        reason="What is left of the run changes nothing.",
        source="less than a thousandth of its largest value for three quarters of the run, where "
        "schedules that end at 0 (cosine, linear) come to that for less than a twentieth; only "
        "where the run failed or came less than a fifth of the way",
        false_alarms="a long tail of tiny steps in a run that fails for another reason",
    ),
)  # fmt: skip
