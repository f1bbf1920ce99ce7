"""What came of trying a suspect's fix on the recorded batches."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean, stdev


class Status(StrEnum):
    """What a replay says about a suspect."""

    VERIFIED = "verified"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"
    NOT_TRIED = "not_tried"


@dataclass(frozen=True)
class Spread:
    """Mean of repeated measurements and the standard error of that mean (NaN for a single one)."""

    mean: float
    standard_error: float
    n: int

    def __str__(self) -> str:
        error = "" if math.isnan(self.standard_error) else f" ± {self.standard_error:.2f}"
        return f"{self.mean:.2f}{error}"


def spread_of(values: Sequence[float]) -> Spread:
    """Mean and standard error of at least one value."""
    n = len(values)
    error = stdev(values) / math.sqrt(n) if n > 1 else math.nan
    return Spread(fmean(values), error, n)


@dataclass(frozen=True)
class Trial:
    """A suspect's fix tried on the recorded batches.

    Attributes
    ----------
    change
        What was changed, in one line; empty where nothing was tried.
    skill
        What the replay came to with the fix; None where nothing was tried.
    gain
        How much more that is than without the fix, replay by replay.
    reason
        Why it was not tried, or is not conclusive; else empty.
    """

    status: Status
    change: str = ""
    skill: Spread | None = None
    gain: Spread | None = None
    reason: str = ""

    def __str__(self) -> str:
        if self.skill is None:
            return f"not tried: {self.reason}"
        if self.status is Status.VERIFIED:
            words = "with this change the replay learns"
        elif self.status is Status.REFUTED:
            words = "this change alone does not help the replay"
        else:
            words = self.reason
        return f"{self.status}: {self.change}; {words} (skill {self.skill})"


@dataclass(frozen=True)
class Verification:
    """How the recorded batches were replayed, and what came of the training as it was.

    Attributes
    ----------
    obstacle
        Why nothing was replayed; empty if something was.
    measure
        What skill means here: 0 needs no learning, 1 is perfect.
    baseline
        Skill of the unchanged replay.
    n_samples, n_judged
        Distinct samples kept in the trace, and how many of them each replay is judged by.
    is_held_back
        Whether those are samples that the replay did not train on.
    n_steps
        Training steps of one replay.
    conclusion
        What the trials come to, where that is not said by a verified suspect; may be empty.
    """

    obstacle: str = ""
    measure: str = ""
    baseline: Spread | None = None
    n_samples: int = 0
    n_judged: int = 0
    is_held_back: bool = True
    n_steps: int = 0
    seed: int = 0
    conclusion: str = ""

    def __str__(self) -> str:
        if self.baseline is None:
            return f"Nothing was replayed: {self.obstacle}."
        samples = "samples held back" if self.is_held_back else "samples that it trains on"
        return (
            f"Unchanged, {self.baseline.n} replays of {self.n_steps} steps on the recorded batches "
            f"reach skill {self.baseline}: {self.measure} on {self.n_judged} {samples}, where 0 "
            "needs no learning and 1 is perfect."
        )
