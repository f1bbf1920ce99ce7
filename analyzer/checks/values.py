"""Checks of single values among what was fed."""

from collections.abc import Iterator

from ..outlier import BLOWN_UP, OUTLYING
from ..rules.rule import Symptom
from .check import Check, Facts, Sighting


def _stray(facts: Facts, threshold: float) -> Iterator[Sighting]:
    stray = facts.stray
    if stray is not None and stray.largest > threshold * stray.usual:
        yield Sighting(
            stray.place.kind, None, facts.harm, 0.95, stray.largest / stray.usual,
            stray.statement, series=stray.place.series,
        )  # fmt: skip


CHECKS = (
    Check(
        name="one value far from all others", symptom=Symptom.OUTLYING_VALUE, condition=_stray,
        threshold=OUTLYING, quantity="largest value relative to that of other batches",
        statement="One input, target or sample weight is a thousand times larger than any other, "
        "and the run, which stayed finite, came to nothing or was hurt.",
        reason="Its step throws the weights over, or fills the running means of the optimizer, "
        "which then stands still. It also makes means and scales of all the data look large: they "
        "are not blamed then.",
        source="a gap of three orders of magnitude between what its batches come to, at most one "
        "an epoch, and all others: of values without a mean, those of Cauchy, the largest is as "
        "far from the next one in about one data set of 500; and its step made a kernel, or its "
        f"batch the loss, {BLOWN_UP:g} times as large. Not where the run came four fifths of the "
        "way, nor seen where every batch holds it",
        false_alarms="data with such tails, in a run that fails for another reason",
    ),
)  # fmt: skip
