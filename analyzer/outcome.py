"""What a training came to: whether, and how far, it left behind what needs no learning."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from deeplocalize.traces.schema import Kind

from .curve import Curve, Stretch, head, tail
from .engine import Replay
from .epochs import Epochs
from .rules.learning import HEAD_SHARE, TAIL_SHARE
from .rules.levels import Levels, accuracy_levels, levels_of

# Below this share of the way from the trivial level to perfection, a run has learned nothing.
STUCK_SKILL = 0.05

# Below this share, a run cannot be said to look healthy: nothing else needs to be wrong.
LITTLE_SKILL = 0.2

# Below this share, a run came to little; data that hold no more and faults look alike here.
POOR_SKILL = 0.5

# From this share on, weaknesses did no harm: they are made up for, left over, or there on purpose.
FINE_SKILL = 0.8

# Beyond this multiple of the loss at the start, and of the trivial one, a run has diverged.
DIVERGED = 10.0

# Share of its whole fall that a loss must fall in its last quarter to be still falling.
STILL_FALLING = 0.1

# Below this share, a short run that still improves had come to little when it ended:
# chosen, between LITTLE_SKILL and POOR_SKILL.
LOW_SKILL = 0.3

# Iterations up to which nothing is said about how a run went; for fewer there is no verdict.
TOO_SHORT = 20

# Iterations up to which a run is a short one: chosen, three times LONG_ENOUGH.
SHORT = 300

# Iterations from which a run that has learned nothing counts as stuck rather than as short.
LONG_ENOUGH = 100


class State(StrEnum):
    """How a training went."""

    BROKEN = "broken"
    DIVERGED = "diverged"
    STUCK = "stuck"
    FLAT = "flat"
    POOR = "poor"
    LEARNED = "learned"
    NOT_KNOWN = "not known"


@dataclass(frozen=True)
class Outcome:
    """How a training went, in numbers.

    Attributes
    ----------
    skill
        How far from the trivial level (0) to perfection (1) the run came at its end, by its
        accuracy where targets are classes, else by its loss. None: no level is known. Where
        one class has nearly all samples, this stays near 0 while the loss shows learning.
    best_skill
        The same, by whichever of the two came further.
    first_loss, last_loss
        Ends of the loss curve; NaN where it was not recorded.
    levels, accuracy_levels
        What always predicting the same reaches, and what is perfect; None where not known.
    is_hurt
        Whether the rules saw something severe.
    peak_loss
        The largest mean loss of neighbouring iterations (`Curve`).
    is_falling
        Whether the loss still fell in the last quarter, by more than two standard errors.
    is_improving
        Whether the loss still fell in the last quarter, by a tenth of its whole fall or more.
    """

    state: State
    skill: float | None
    best_skill: float | None
    first_loss: Stretch
    last_loss: Stretch
    levels: Levels | None
    accuracy_levels: Levels | None
    accuracy: float | None
    n_iterations: int
    peak_loss: float = math.nan
    is_hurt: bool = False
    is_falling: bool = False
    is_improving: bool = False

    def so_far(self) -> "Outcome":
        """What can be said where only the beginning of a run was recorded: not what it came to."""
        state = State.BROKEN if self.state is State.BROKEN else State.NOT_KNOWN
        return replace(self, state=state, skill=None, best_skill=None)

    @property
    def has_failed(self) -> bool:
        """Whether the run ended no better than it might have without any training."""
        return self.state in (State.BROKEN, State.DIVERGED, State.STUCK)

    @property
    def is_harmed(self) -> bool:
        """Whether the run failed, or holds severe symptoms.

        One that merely came to little is not harmed: most real data hold no more than that.
        """
        return self.is_hurt or self.has_failed

    @property
    def is_fine(self) -> bool:
        """Whether the run came so far that weaknesses did no harm."""
        return self.skill is not None and self.skill >= FINE_SKILL

    @property
    def is_little(self) -> bool:
        """Whether the run learned nothing, or next to nothing, as far as that is known."""
        return self.n_iterations >= LONG_ENOUGH and self._is_low

    @property
    def is_little_yet(self) -> bool:
        """The same of a run too short to count as stuck: nobody can tell whether it learns."""
        return self.n_iterations < LONG_ENOUGH and self._is_low

    @property
    def _is_low(self) -> bool:
        best = self.best_skill
        return self.state is State.STUCK or (best is not None and best < LITTLE_SKILL)

    @property
    def is_unfinished(self) -> bool:
        """Whether a short run came to little and was still improving when it ended."""
        is_short = TOO_SHORT < self.n_iterations < SHORT
        is_low = self.best_skill is not None and self.best_skill <= LOW_SKILL
        is_open = self.state in (State.STUCK, State.POOR)
        return is_short and is_low and is_open and self.is_improving

    @property
    def doubt(self) -> str:
        """Why it cannot be told whether the run learned anything; empty if it can."""
        if self.best_skill is not None:
            return ""
        if not self.last_loss.n:
            return "no loss was recorded"
        if self.state is State.FLAT:
            return f"its loss has hardly moved, and what needs no learning is not known ({self})"
        return ""

    @property
    def comparison(self) -> str:
        """How a run that learned next to nothing compares with always answering the same."""
        is_worse = self.best_skill is not None and self.best_skill < -STUCK_SKILL
        return "worse than" if is_worse else "hardly better than"

    @property
    def trivial_loss(self) -> float | None:
        """Loss of always predicting the same; None where it is not known."""
        return self.levels.trivial if self.levels is not None else None

    @property
    def is_far(self) -> bool:
        """Whether the loss itself came less than half of the way."""
        levels = self.levels
        return levels is not None and levels.share_left(self.last_loss.mean) > 1 - POOR_SKILL

    @property
    def starts_too_high(self) -> bool:
        """Whether the loss began ten times above what always predicting the same costs."""
        levels = self.levels
        return levels is not None and levels.share_left(self.first_loss.mean) > DIVERGED

    def __str__(self) -> str:
        last = "at last" if self.state is not State.BROKEN else "before it was not finite any more"
        parts = [f"loss {self.first_loss.mean:.4g} at first, {self.last_loss.mean:.4g} {last}"]
        if self.levels is not None:
            parts.append(f"{self.levels.trivial:.4g} needs no learning")
            if self.levels.perfect:
                parts.append(f"no model can come below {self.levels.perfect:.4g}")
        if self.accuracy is not None and self.accuracy_levels is not None:
            parts.append(
                f"accuracy {self.accuracy:.3g} at last, {self.accuracy_levels.trivial:.3g} by "
                "always answering the most frequent class"
            )
        return "; ".join(parts)


def outcome_of(replay: Replay, epochs: Epochs, is_broken: bool) -> Outcome:
    """What a training came to.

    Parameters
    ----------
    epochs
        What was measured once an epoch; stands in where batches were not recorded to the end.
    is_broken
        Whether something turned non-finite and stayed so.
    """
    header, evidence = replay.header, replay.evidence
    first, last = head(evidence.loss, HEAD_SHARE), tail(evidence.loss, TAIL_SHARE)
    levels, compared = levels_of(header), accuracy_levels(header)
    accuracy = _accuracy(replay, epochs, compared)
    by_accuracy = by_loss = None
    if accuracy is not None and compared is not None:
        by_accuracy = 1 - compared.share_left(accuracy)
    if levels is not None and last.n:
        by_loss = 1 - levels.share_left(last.mean)
    skills = [skill for skill in (by_accuracy, by_loss) if skill is not None]
    level = levels.trivial if levels is not None else None
    fall, fall_at_last = first.mean - last.mean, _fall_at_last(evidence.loss)
    return Outcome(
        state=State.BROKEN if is_broken else _state(skills, first, last, level),
        skill=skills[0] if skills else None,
        best_skill=max(skills, default=None),
        first_loss=first,
        last_loss=last,
        levels=levels,
        accuracy_levels=compared,
        accuracy=accuracy,
        n_iterations=evidence.n_iterations + header.n_updates_before,
        peak_loss=_peak(evidence.loss),
        is_falling=fall_at_last > 0,
        is_improving=fall_at_last > STILL_FALLING * fall > 0,
    )


def _state(skills: Sequence[float], first: Stretch, last: Stretch, level: float | None) -> State:
    if not last.n:
        return State.NOT_KNOWN
    if last.mean > DIVERGED * max(first.mean, level or 0.0) and first.mean > 0:
        return State.DIVERGED
    if not skills:
        error = math.hypot(first.standard_error, last.standard_error)
        is_flat = abs(first.mean - last.mean) <= max(0.01 * abs(first.mean), 2 * error)
        # A model that fits already is flat as well: without a level this is no failure.
        return State.FLAT if is_flat else State.NOT_KNOWN
    if max(skills) < STUCK_SKILL:
        return State.STUCK
    return State.POOR if skills[0] < POOR_SKILL else State.LEARNED


def _peak(loss: Curve) -> float:
    is_known = loss.n > 0
    return float((loss.total[is_known] / loss.n[is_known]).max(initial=-math.inf))


def _fall_at_last(loss: Curve) -> float:
    """By how much the last quarter is below the one before; 0 within two standard errors."""
    half, quarter = tail(loss, 2 * TAIL_SHARE), tail(loss, TAIL_SHARE)
    if not quarter.n or half.n == quarter.n:
        return 0.0
    before = (half.mean * half.n - quarter.mean * quarter.n) / (half.n - quarter.n)
    error = 2 * math.hypot(half.standard_error, quarter.standard_error)
    return before - quarter.mean if before - quarter.mean > error else 0.0


def _accuracy(replay: Replay, epochs: Epochs, compared: Levels | None) -> float | None:
    """Accuracy at the end of the run, where it can be compared with a base rate."""
    if compared is None:
        return None
    accuracies = [
        curve
        for i, curve in replay.evidence.metrics.items()
        if "acc" in replay.header.series[i].tensor and replay.header.series[i].kind is Kind.METRIC
    ]
    curves = [curve for curve in accuracies if curve.n_values and _reaches_end(curve, replay)]
    n = replay.evidence.n_iterations
    n_batches = epochs.n_last_batches if replay.header.framework.startswith("keras/") else 0
    ends = [accuracy_at_last(curve, n_batches if curve.n_values == n else 0) for curve in curves]
    if not ends:
        ends = [epochs.curve(name)[-1] for name in epochs.accuracies]
    return ends[0] if len(ends) == 1 and math.isfinite(ends[0]) else None


def accuracy_at_last(curve: Curve, n_batches: int) -> float:
    """Mean accuracy of the last quarter, of values that are running means over their epoch.

    In a run of few epochs such a mean lags far behind. Where the last epoch holds all of the last
    quarter, its share is what is left of the sum over the epoch, less the sum before.

    Parameters
    ----------
    n_batches
        Batches of the last epoch, all of which the curve holds; 0: values are no such means.
    """
    last = tail(curve, TAIL_SHARE)
    n_before = n_batches - last.n
    if n_before <= 0:
        return last.mean
    at_end, at_start = float(curve.total[-1] / curve.n[-1]), _before(curve, last.n)
    mean = (n_batches * at_end - n_before * at_start) / last.n
    return min(max(mean, 0.0), 1.0)


def _before(curve: Curve, n_last: int) -> float:
    """The value of the bucket before the last ones, which hold the given number of values."""
    behind = int(np.searchsorted(np.cumsum(curve.n[::-1]), n_last)) + 1
    place = len(curve.n) - 1 - behind
    return float(curve.total[place] / curve.n[place])


def _reaches_end(curve: Curve, replay: Replay) -> bool:
    """Whether values come from the last quarter of the run, as those of its loss do."""
    last = (curve.first + len(curve.n)) * curve.width
    return last > (1 - TAIL_SHARE) * replay.evidence.n_iterations
