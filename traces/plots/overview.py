"""A trace of any length as few columns of pixels that lose no extreme and no non-finite value.

Consecutive iterations share a column. What a column keeps of each series are extremes and
counts, never samples, so that a single NaN among millions of iterations stays visible.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ..interface import TraceReader
from ..scan import scan
from ..table import Block

Values = NDArray[np.float64]

MAX_COLUMNS = 800
# Cells read at once and column of the statistics: bounds the memory, whatever the length.
_CHUNK_CELLS = 1 << 18

_READ = ("n", "n_zero", "min", "max", "mean_abs", "rms")


@dataclass(frozen=True, eq=False)
class Overview:
    """Extremes per pixel column and series, arrays of shape (columns, series).

    Column ``c`` holds the iterations ``first + c * width`` to ``first + (c + 1) * width - 1``.
    NaN stands for "nothing finite was recorded here"; the counts are 0 there.

    Attributes
    ----------
    n_nan, n_inf
        The most NaN and infinite elements in one iteration.
    min, max
        The smallest and the largest finite element.
    rms_low, rms_high
        The smallest and the largest rms of one iteration.
    mean_abs
        The mean of the iterations' mean magnitudes.
    zero_share
        The largest share of elements that are exactly 0.
    """

    first: int
    width: int
    n_nan: Values
    n_inf: Values
    min: Values
    max: Values
    rms_low: Values
    rms_high: Values
    mean_abs: Values
    zero_share: Values

    @property
    def n_columns(self) -> int:
        """How many pixel columns there are."""
        return len(self.rms_high)

    @property
    def stop(self) -> int:
        """The iteration after the last column."""
        return self.first + self.n_columns * self.width

    @property
    def left(self) -> NDArray[np.int64]:
        """The first iteration of each column."""
        return self.first + self.width * np.arange(self.n_columns)

    @property
    def center(self) -> Values:
        """Where to draw each column: the middle of its iterations."""
        middle: Values = self.left + np.float64((self.width - 1) / 2)
        return middle

    @property
    def is_nonfinite(self) -> NDArray[np.bool_]:
        """Whether a column holds a NaN or an infinity of a series."""
        return (self.n_nan > 0) | (self.n_inf > 0)

    @property
    def magnitude(self) -> Values:
        """The largest finite magnitude."""
        largest: Values = np.fmax(np.abs(self.min), np.abs(self.max)).astype(np.float64)
        return largest


FIELDS = tuple(field.name for field in fields(Overview) if field.name not in ("first", "width"))


def overview_of(
    reader: TraceReader,
    start: int = 0,
    stop: int | None = None,
    max_columns: int = MAX_COLUMNS,
) -> Overview:
    """The rows ``start`` to ``stop`` of a trace in at most ``max_columns`` columns.

    Memory grows with the columns and the series, not with the rows.
    """
    stop = reader.n_iterations if stop is None else min(stop, reader.n_iterations)
    n_series = len(reader.header.series)
    if start >= stop:
        return _Gathering(0, 1, 0, n_series).overview()
    first = _iteration_at(reader, start)
    span = _iteration_at(reader, stop - 1) + 1 - first
    width = -(-span // max_columns)
    gathering = _Gathering(first, width, -(-span // width), n_series)
    n_rows = max(1, _CHUNK_CELLS // max(n_series, 1))
    for block in scan(reader, _READ, n_rows, start, stop):
        gathering.add(block)
    return gathering.overview()


class _Gathering:
    """The columns so far, while blocks arrive."""

    def __init__(self, first: int, width: int, n_columns: int, n_series: int) -> None:
        self._first, self._width = first, width
        shape = (n_columns, n_series)
        self._n = np.zeros(shape)
        self._sum_mean_abs = np.zeros(shape)
        self._extremes = {name: np.full(shape, np.nan) for name in FIELDS if name != "mean_abs"}
        self._extremes["n_nan"] = np.zeros(shape)
        self._extremes["n_inf"] = np.zeros(shape)

    def add(self, block: Block) -> None:
        """Take a block in; only whole iterations after those already taken."""
        if not len(block.recorded):
            return
        column = (block.recorded - self._first) // self._width
        starts = np.flatnonzero(np.diff(column, prepend=-1))
        places = column[starts]
        table = block.statistics
        for name, source, reduce in (
            ("min", "min", np.fmin),
            ("max", "max", np.fmax),
            ("rms_low", "rms", np.fmin),
            ("rms_high", "rms", np.fmax),
        ):
            self._take(name, places, reduce.reduceat(table[source], starts, axis=0), reduce)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(table["n"] > 0, table["n_zero"] / table["n"], np.nan)
        self._take("zero_share", places, np.fmax.reduceat(share, starts, axis=0), np.fmax)
        is_finite = np.isfinite(table["mean_abs"])
        self._n[places] += np.add.reduceat(is_finite, starts, axis=0, dtype=np.float64)
        with np.errstate(over="ignore"):
            mean_abs = np.where(is_finite, table["mean_abs"], 0.0)
            self._sum_mean_abs[places] += np.add.reduceat(mean_abs, starts, axis=0)
        if "n_nan" in table:
            n_inf = table["n_posinf"] + table["n_neginf"]
            for name, counts in (("n_nan", table["n_nan"]), ("n_inf", n_inf)):
                self._take(name, places, np.maximum.reduceat(counts, starts, axis=0), np.maximum)

    def overview(self) -> Overview:
        """Everything taken in so far."""
        with np.errstate(divide="ignore", invalid="ignore"):
            mean_abs = self._sum_mean_abs / self._n
        return Overview(self._first, self._width, mean_abs=mean_abs, **self._extremes)

    def _take(self, name: str, places: NDArray[np.int64], values: Values, reduce: np.ufunc) -> None:
        held = self._extremes[name]
        held[places] = reduce(held[places], values)


def _iteration_at(reader: TraceReader, row: int) -> int:
    return int(reader.iterations(row, row + 1)["iteration"][0])
