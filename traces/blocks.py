"""Where the blocks of a columnar trace begin and end, and the checksums of their columns.

One row of int64 per block. What files lack by themselves: a bit that flips in a column of
numbers yields another number, and only a checksum tells. Rows are counted here, not iterations:
row 0 is the first one in the trace, whatever its iteration.
"""

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import TraceFormatError
from .schema import ITERATIONS, STATISTICS
from .table import Block

COLUMNS = (
    *(f"iterations/{column.name}" for column in ITERATIONS),
    "statistics/recorded",
    *(f"statistics/{column.name}" for column in STATISTICS),
)
BOUNDS = ("end of the block in iterations", "end of the block in statistics", "series")
N_FIELDS = len(BOUNDS) + len(COLUMNS) + 1

_END_ITERATIONS, _END_RECORDED, _SERIES = range(len(BOUNDS))


def columns_of(block: Block) -> dict[str, NDArray[Any]]:
    """Every column of a block, in the order of `COLUMNS`."""
    return {
        **{f"iterations/{column.name}": block.iterations[column.name] for column in ITERATIONS},
        "statistics/recorded": block.recorded,
        **{f"statistics/{column.name}": block.statistics[column.name] for column in STATISTICS},
    }


def crc(values: NDArray[Any]) -> int:
    """The CRC-32 of an array's bytes, in C order."""
    return zlib.crc32(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)


def index_row(block: Block, end_iterations: int, end_recorded: int) -> NDArray[np.int64]:
    """The row of `BlockIndex` for a block that ends at the given rows; shape (N_FIELDS,)."""
    bounds = (end_iterations, end_recorded, block.statistics.shape[1])
    checksums = (crc(values) for values in columns_of(block).values())
    return with_checksum(np.array([*bounds, *checksums], dtype=np.int64))


def with_checksum(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers followed by their CRC-32."""
    return np.append(numbers, np.int64(crc(numbers)))


class BlockIndex:
    """The rows of all blocks, shape (blocks, N_FIELDS), verified.

    Raises
    ------
    TraceFormatError
        A row is not what was written, or blocks do not follow one another.
    """

    def __init__(self, rows: NDArray[np.int64], source: str) -> None:
        self._source = source
        self._rows = rows
        self._ends = np.zeros((len(rows) + 1, 2), dtype=np.int64)
        self._ends[1:] = rows[:, [_END_ITERATIONS, _END_RECORDED]]
        self._widths = rows[:, _SERIES]
        are_whole = all(crc(row[:-1]) == row[-1] for row in rows)
        if not are_whole or (np.diff(self._ends, axis=0) < 0).any() or (self._widths < 0).any():
            raise TraceFormatError(f"{source}: the index of blocks is damaged")

    @property
    def n_iterations(self) -> int:
        """Rows of the iterations table."""
        return int(self._ends[-1, 0])

    @property
    def ends(self) -> NDArray[np.int64]:
        """Rows of the iterations table at which blocks end; shape (blocks,)."""
        return self._ends[1:, 0]

    @property
    def n_recorded(self) -> int:
        """Rows of the statistics table."""
        return int(self._ends[-1, 1])

    @property
    def n_cells(self) -> int:
        """Recorded rows times series, summed over the blocks: what the file must hold at least."""
        rows = np.diff(self._ends[:, 1]).tolist()
        return sum(n * width for n, width in zip(rows, self._widths.tolist(), strict=True))

    def covering(self, start: int, stop: int) -> range:
        """The blocks that hold rows ``start`` to ``stop`` of the iterations table."""
        if start >= stop:
            return range(0)
        first = int(np.searchsorted(self.ends, start, side="right"))
        last = int(np.searchsorted(self.ends, stop, side="left"))
        return range(first, last + 1)

    def rows_of(self, column: str, blocks: range) -> tuple[int, int]:
        """The first row of the blocks in a column's table, and the one after the last."""
        ends = self._ends[:, self._table(column)]
        return int(ends[blocks.start]), int(ends[blocks.stop])

    def check(self, column: str, blocks: range, values: NDArray[Any], missing: float) -> None:
        """Verify a column's values of whole blocks; shape (rows,) or (rows, series).

        Cells right of a block's series, which were added later, are set to ``missing``.
        """
        ends = self._ends[:, self._table(column)]
        field = len(BOUNDS) + COLUMNS.index(column)
        for block in blocks:
            part = values[ends[block] - ends[blocks.start] : ends[block + 1] - ends[blocks.start]]
            if part.ndim == 2:
                part[:, self._widths[block] :] = missing
                part = part[:, : self._widths[block]]
            if crc(part) != self._rows[block, field]:
                raise TraceFormatError(
                    f"{self._source}: column {column} is damaged in block {block} "
                    f"(rows {ends[block]} to {ends[block + 1]}): its checksum does not match"
                )

    def _table(self, column: str) -> int:
        return 0 if column.startswith("iterations/") else 1
