"""How a run began and how it ended: the statistics of its first and its last iterations.

Iterations that were not recorded do not count: a thinned trace has ends as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deeplocalize.traces.interface import TraceReader
from deeplocalize.traces.table import Block

from .certainty import without_uncertain
from .chunks import read_first, read_last, rows_of
from .window import row_of

N_ROWS = 32

# Further from the first or the last recorded iteration than this share of the run, nothing
# belongs to an end of it, however few rows there are.
SHARE = 0.1

# What a weight began with is what it was when so many steps at most had been taken.
MAX_BEGINNING = 1

_COLUMNS = (
    "n", "n_zero", "n_zero_units", "n_constant_units", "min", "max", "mean", "mean_abs", "rms",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Ends:
    """The first and the last recorded iterations, at most `N_ROWS` each; they may overlap."""

    start: Block
    stop: Block

    def reach_far(self, n_iterations: int) -> bool:
        """Whether the last recorded iteration is near the end of a run of so many."""
        return len(self.stop.recorded) > 0 and self.stop.recorded[-1] >= (1 - SHARE) * n_iterations

    def first(self, series: int, column: str) -> float:
        """A number that a tensor began with; NaN where the beginning was not recorded."""
        values = _recorded(self.start, series, column)
        is_beginning = len(values) > 0 and self.start.recorded[0] < MAX_BEGINNING
        return float(values[0]) if is_beginning else float("nan")

    def early(self, series: int, column: str) -> float:
        """The median over the first iterations."""
        return _median(self.start, series, column)

    def late(self, series: int, column: str) -> float:
        """The median over the last iterations."""
        return _median(self.stop, series, column)

    def least(self, series: int, column: str) -> float:
        """The smallest number at either end; NaN without one."""
        return float(np.fmin.reduce(self.both(series, column), initial=np.nan))

    def most(self, series: int, column: str) -> float:
        """The largest number at either end; NaN without one."""
        return float(np.fmax.reduce(self.both(series, column), initial=np.nan))

    def peak_ratio(self, series: int, other: int, floor: float) -> float:
        """The largest rms of one tensor relative to another, at least a floor, at the start."""
        rms, size = _recorded(self.start, series, "rms"), _recorded(self.start, other, "rms")
        if len(rms) != len(size) or not len(rms):
            return float("nan")
        ratio = rms / np.maximum(size, floor)
        return float(np.fmax.reduce(ratio))

    def both(self, series: int, column: str) -> NDArray[np.float64]:
        """What was recorded at either end, in order; shape (rows,)."""
        parts = [_recorded(block, series, column) for block in (self.start, self.stop)]
        return np.concatenate(parts)

    def together(self, series: Sequence[int], column: str) -> NDArray[np.float64]:
        """A column of several series where all were recorded, at either end; (rows, series)."""
        parts = [jointly(block, series, column) for block in (self.start, self.stop)]
        return np.concatenate(parts)


def read_ends(reader: TraceReader, broken_at: int | None = None) -> Ends:
    """Read both ends of a trace, of a broken run only up to where it broke.

    Parameters
    ----------
    broken_at
        The first iteration that is not to be read, though one always is: what a network computes
        from NaN says nothing about how it was built.
    """
    n = reader.n_iterations
    if broken_at is not None:
        n = min(n, max(row_of(reader, broken_at), 1))
    reach = max(N_ROWS, round(SHARE * n))
    first, last = (
        without_uncertain(reader.header, read(reader, N_ROWS, n, _COLUMNS))
        for read in (read_first, read_last)
    )
    if not len(first.recorded):
        return Ends(first, last)
    n_near_start = int(np.searchsorted(first.recorded, first.recorded[0] + reach))
    n_far_from_stop = int(np.searchsorted(last.recorded, last.recorded[-1] - reach, "right"))
    return Ends(rows_of(first, 0, n_near_start), rows_of(last, n_far_from_stop, len(last.recorded)))


def jointly(block: Block, series: Sequence[int], column: str) -> NDArray[np.float64]:
    """A column of several series in the rows in which all were recorded; (rows, series)."""
    index = list(series)
    if min(index) < 0 or not len(block.recorded):
        return np.zeros((0, len(index)))
    is_recorded = (block.statistics["n"][:, index] > 0).all(axis=1)
    return np.asarray(block.statistics[column][is_recorded][:, index], np.float64)


def _recorded(block: Block, series: int, column: str) -> NDArray[np.float64]:
    if series < 0 or not len(block.recorded):
        return np.zeros(0)
    is_recorded = block.statistics["n"][:, series] > 0
    return np.asarray(block.statistics[column][is_recorded, series], np.float64)


def _median(block: Block, series: int, column: str) -> float:
    values = _recorded(block, series, column)
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else float("nan")
