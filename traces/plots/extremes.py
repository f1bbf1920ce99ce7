"""A number per iteration in the columns of pixels that draw it, gathered chunk by chunk."""

import numpy as np
from numpy.typing import NDArray

CHUNK_ITERATIONS = 1 << 15
"""Rows of the iterations table to read at once: bounds the memory, whatever the length."""


class Extremes:
    """Smallest, mean and largest finite value per column; where one was not finite.

    Column ``c`` holds the iterations ``first + c * width`` to ``first + (c + 1) * width - 1``.
    """

    def __init__(self, first: int, width: int, n_columns: int) -> None:
        self._first, self._width = first, width
        self._low = np.full(n_columns, np.nan)
        self._high = np.full(n_columns, np.nan)
        self._mean = np.full(n_columns, np.nan)
        self._n = np.zeros(n_columns)
        self._is_broken = np.zeros(n_columns, np.bool_)

    def add(self, iteration: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Take in further iterations; those outside of all columns are left out."""
        column = (iteration - self._first) // self._width
        is_inside = (column >= 0) & (column < len(self._n))
        is_finite = np.isfinite(values)
        self._is_broken[column[is_inside & ~is_finite]] = True
        places, kept = column[is_inside & is_finite], values[is_inside & is_finite]
        np.fmin.at(self._low, places, kept)
        np.fmax.at(self._high, places, kept)
        n = np.bincount(places, minlength=len(self._n))
        total = self._n + n
        # Divided before they are summed: the sum of large losses would overflow.
        added = np.bincount(places, kept / total[places], minlength=len(self._n))
        with np.errstate(divide="ignore", invalid="ignore"):
            held = np.where(self._n > 0, self._mean * (self._n / total), 0.0)
        self._mean = np.where(total > 0, held + added, np.nan)
        self._n = total

    @property
    def is_broken(self) -> NDArray[np.bool_]:
        """Columns with a value that is not finite; none where there is no finite value at all."""
        # A table of NaN alone means that the number was not recorded.
        return self._is_broken & bool(self._n.any())

    def values(self) -> NDArray[np.float64]:
        """Smallest, mean and largest, shape (3, columns); NaN for columns without any."""
        return np.array([self._low, self._mean, self._high])
