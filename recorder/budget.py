"""Thin out a recording so that it costs no more than a share of the training's time."""

import time


class Budget:
    """Allows a full measurement while the time spent on measuring is within its share.

    What is counted is the time between a step handing over its tensors and going on.

    Parameters
    ----------
    share
        Of the time since the first step, between 0 and 1.

    Raises
    ------
    ValueError
        The share is not between 0 and 1.
    """

    def __init__(self, share: float) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"budget={share}: wanted a share of the time, above 0 and up to 1")
        self._share = share
        self._began: float | None = None
        self._spent_s = 0.0

    def allows(self) -> bool:
        """Whether there is time for one more."""
        if self._began is None:
            self._began = time.perf_counter()
        return self._spent_s <= self._share * (time.perf_counter() - self._began)

    def spend(self, seconds: float) -> None:
        """Count time that went into measuring."""
        self._spent_s += seconds
