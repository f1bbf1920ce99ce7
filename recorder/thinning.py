"""Which steps a budget measures, told from what measuring has cost so far.

Statistics cost a training more than the time in which they are taken: what they read takes the
place of the step's own tensors in the caches, and its threads have to wait. So steps that are
measured are compared with the latest of the same training that are not.
"""

import math
import statistics
from collections import deque
from collections.abc import Sequence

from .budget import ONE_MEASURED_OF, Budget

ALL = 1 << 62
"""More steps than there are."""

# Chosen: of either sort, how many of the latest steps are compared, and how many there must be
# before any are. Of so many steps one at least is left out, for the others to be compared with.
_MOST_COMPARED = 64
_FEWEST_COMPARED = 4
_ONE_LEFT_OUT_OF = 8


class Thinning:
    """Leaves out so many steps that all of what a recording costs is within its budget.

    Parameters
    ----------
    budget
        From which the costs are spent. If it has no limit, all steps are measured.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._measured_s: deque[float] = deque(maxlen=_MOST_COMPARED)
        self._left_out_s: deque[float] = deque(maxlen=_MOST_COMPARED)
        self._n_measured = self._n_left_out = 0
        self._least_cost_s = 0.0
        self._n_since_measured = 0
        self.n_to_skip = 0
        """How many of the next steps are left out, before any is measured."""
        self.n_to_measure = ALL
        """How many are to be measured then."""

    def spend(
        self, are_measured: Sequence[bool], durations_s: Sequence[float], counted_s: float
    ) -> None:
        """Spend what consecutive steps have cost.

        Parameters
        ----------
        are_measured
            For each of them; else it was left out.
        durations_s
            How long each took, the recording included; NaN: not known.
        counted_s
            How long, by the clock, all of them together were held up by the recording.
        """
        if not self._budget.is_limited:
            return
        for is_measured, duration_s in zip(are_measured, durations_s, strict=True):
            self._compare(is_measured, duration_s)
        n, n_measured = len(are_measured), sum(are_measured)
        if not n_measured:
            self._least_cost_s = counted_s / n
        compared_s = n * self._least_cost_s + n_measured * self._cost_s()
        self._budget.spend(max(counted_s, compared_s))

    def choose(self) -> None:
        """Decide which of the next steps are measured."""
        least = 1 + _FEWEST_COMPARED  # the first that is left out is not compared
        n_others = _ONE_LEFT_OUT_OF - 1 if self._are_compared else 1
        if self._n_measured == 0:
            must_leave_out = self._n_left_out < least
        else:
            must_leave_out = self._n_measured >= n_others * max(self._n_left_out, least)
        is_limited = self._budget.is_limited
        if not is_limited or (self._budget.allows() and not must_leave_out):
            self.n_to_skip, self.n_to_measure = 0, ALL
        else:
            # Wherever steps are taken: at the end of an epoch, as a rule, so that counting from
            # there would measure its first batch again and again.
            self.n_to_skip = max(0, ONE_MEASURED_OF - 1 - self._n_since_measured)
            self.n_to_measure = 1

    def _compare(self, is_measured: bool, duration_s: float) -> None:
        """Take one more step; runs of one sort and of the other take turns."""
        durations_s = self._measured_s if is_measured else self._left_out_s
        if not is_measured and self._n_measured > 0:
            self._n_measured = self._n_left_out = 0
            duration_s = math.nan  # it pays for what the step before has done to caches
        self._n_since_measured = 0 if is_measured else self._n_since_measured + 1
        if is_measured:
            self._n_measured += 1
        else:
            self._n_left_out += 1
        if not math.isnan(duration_s):
            durations_s.append(duration_s)

    @property
    def _are_compared(self) -> bool:
        return min(len(self._measured_s), len(self._left_out_s)) >= _FEWEST_COMPARED

    def _cost_s(self) -> float:
        """How much longer a step takes that is measured; 0 as long as too few are known."""
        if not self._are_compared:
            return 0.0
        return statistics.median(self._measured_s) - statistics.median(self._left_out_s)
