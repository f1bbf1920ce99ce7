"""Thin out a recording so that it costs no more than a share of the training's time."""

import contextlib
import math
import time
from collections.abc import Iterator

# What of a share is spent, chosen: the rest is left to what no clock tells, such as memory that is
# taken for longer, and caches that are cold after the recorder's own code has run.
_SPENT_PART = 0.75

ONE_MEASURED_OF = 61
"""Of so many steps one is measured whatever the budget, chosen: a trace with less in it tells
nothing. A prime: it is not the same batch in every epoch."""


class Budget:
    """Allows a full measurement while the time spent on measuring is within its share.

    What is counted is how long the training waits for its recorder; where statistics are taken, or
    written, beside the rest of the step, how long that takes.

    Parameters
    ----------
    share
        Of the time that the training would take without a recorder, above 0 and up to 1; None for
        no limit.

    Raises
    ------
    ValueError
        The share is not in its range.
    """

    def __init__(self, share: float | None) -> None:
        if share is not None and not 0 < share <= 1:
            raise ValueError(f"budget={share}: wanted a share of the time, above 0 and up to 1")
        self._share = share
        self._elapsed_s = self._spent_s = self._beside_s = 0.0

    @property
    def is_limited(self) -> bool:
        """Whether there is a share."""
        return self._share is not None

    def elapse(self, seconds: float) -> None:
        """Count time of the training, that of recording it included."""
        self._elapsed_s += seconds

    def left_s(self) -> float:
        """Seconds that may be spent by now; below 0 where too many were."""
        if self._share is None:
            return math.inf
        spent_s = self._spent_s + self._beside_s
        return _SPENT_PART * self._share * (self._elapsed_s - spent_s) - spent_s

    def allows(self) -> bool:
        """Whether there is time for one more."""
        return self.left_s() >= 0

    def spend(self, seconds: float) -> None:
        """Count time that went into measuring."""
        self._spent_s += seconds

    def spend_beside(self, seconds: float) -> None:
        """Count time that went into it beside the training, in no `spending`."""
        self._beside_s += seconds

    @contextlib.contextmanager
    def spending(self) -> Iterator[None]:
        """Count all the time within, and what is counted within only as a part of it."""
        began, before_s = time.perf_counter(), self._spent_s
        try:
            yield
        finally:
            self._spent_s = before_s + time.perf_counter() - began
