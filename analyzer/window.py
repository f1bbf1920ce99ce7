"""The iterations around a moment, read from the trace for a closer look."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deeplocalize.traces.header import Header
from deeplocalize.traces.interface import TraceReader
from deeplocalize.traces.schema import Kind
from deeplocalize.traces.table import Block

from .certainty import are_exact, without_uncertain
from .places import Moment

N_BEFORE = 32
N_AFTER = 1

NON_FINITE_COUNTS = ("n_nan", "n_posinf", "n_neginf")


@dataclass(frozen=True, eq=False)
class Window:
    """A block of rows and which of them is the moment in question.

    ``at`` is the place of that iteration among the block's recorded rows.
    """

    header: Header
    block: Block
    at: int
    moment: Moment

    @property
    def is_start(self) -> bool:
        """Whether nothing was recorded before the moment."""
        return self.at == 0

    @property
    def n_skipped(self) -> int:
        """Iterations just before the moment whose statistics were not recorded."""
        if self.is_start:
            return int(self.moment.iteration)
        return int(self.block.recorded[self.at] - self.block.recorded[self.at - 1]) - 1

    def value(self, series: int, column: str) -> float:
        """One number of the moment."""
        return float(self.block.statistics[column][self.at, series])

    def is_recorded(self, series: int) -> bool:
        """Whether the trace holds the tensor at the moment."""
        return self.value(series, "n") >= 0

    def lacks(self, kind: Kind) -> bool:
        """Whether the step had something of a kind that the trace does not hold at the moment.

        Every step has an input.
        """
        series = [i for i, one in enumerate(self.header.series) if one.kind is kind]
        if any(entry.kind is kind for entry in self.header.unrecorded):
            return True
        is_there = bool(series) or kind is Kind.INPUT
        return is_there and not any(map(self.is_recorded, series))

    def is_certain(self, series: int) -> bool:
        """Whether the step recorded the tensor itself, or an exact replay of it at the moment."""
        if not self.header.series[series].replayed:
            return True
        return bool(are_exact(self.header, self.block, series)[self.at])

    def is_nonfinite(self, series: int) -> bool:
        """Whether the tensor holds a NaN or an infinity at the moment."""
        return self.n_nan(series) + self.n_inf(series) > 0

    def is_finite(self, series: int) -> bool:
        """Whether the tensor is recorded at the moment, and finite."""
        return self.is_recorded(series) and not self.is_nonfinite(series)

    def n_nan(self, series: int) -> int:
        """NaN elements at the moment."""
        return int(self.value(series, "n_nan"))

    def n_inf(self, series: int) -> int:
        """Infinite elements at the moment."""
        return int(self.value(series, "n_posinf") + self.value(series, "n_neginf"))

    def was_finite_below(self, limit: float, series: int, others: Sequence[int]) -> bool:
        """Whether a tensor was finite in an earlier iteration in which another had values below."""
        statistics = self.block.statistics
        broken = sum(statistics[name][: self.at, series] for name in NON_FINITE_COUNTS)
        is_finite = (statistics["n"][: self.at, series] > 0) & (broken == 0)
        return any(
            bool((is_finite & (statistics["min"][: self.at, i] < limit)).any()) for i in others
        )

    def rms_until(
        self, series: int, includes_moment: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Recorded iterations up to the moment and the tensor's rms in them; may hold NaN."""
        stop = self.at + includes_moment
        return self.block.recorded[:stop], self.block.statistics["rms"][:stop, series]

    def largest_magnitude(self, series: Sequence[int]) -> float:
        """Largest finite magnitude at the moment in any of the series; NaN without one."""
        bounds = [abs(self.value(i, name)) for i in series for name in ("min", "max")]
        return max((bound for bound in bounds if not np.isnan(bound)), default=float("nan"))


def read_window(reader: TraceReader, iteration: int) -> Window:
    """Read the rows around a recorded iteration."""
    row = row_of(reader, iteration)
    start, stop = max(row - N_BEFORE, 0), min(row + 1 + N_AFTER, reader.n_iterations)
    block = without_uncertain(reader.header, reader.read(start, stop))
    table, here = block.iterations, row - start
    return Window(
        header=reader.header,
        block=block,
        at=int(np.searchsorted(block.recorded, iteration)),
        moment=Moment(iteration, int(table["epoch"][here]), int(table["batch"][here])),
    )


def row_of(reader: TraceReader, iteration: int) -> int:
    """The row of the iterations table that holds an iteration, or the next one after it."""

    def iteration_of(row: int) -> int:
        return int(reader.iterations(row, row + 1)["iteration"][0])

    last = reader.n_iterations - 1
    if iteration <= last and iteration_of(iteration) == iteration:
        return iteration
    return min(bisect_left(range(last + 1), iteration, key=iteration_of), last)
