"""Statistics with one row per cell, as other tools read them, instead of a dense block.

Cells in which nothing was recorded take no row.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .schema import STATISTICS, Column
from .table import Block, Table, empty_table

KEYS = (
    Column("iteration", "int64", "steps", "global training step"),
    Column("series", "int64", "index", "index into the header's series"),
)


def to_long(block: Block) -> dict[str, Any]:
    """The statistics with one row per iteration and series that was recorded in it."""
    nothing = empty_table(STATISTICS, (1, 1))
    is_there = np.zeros(block.statistics.shape, dtype=np.bool_)
    for column in STATISTICS:
        missing, values = nothing[column.name], block.statistics[column.name]
        is_there |= (values != missing) & ~((values != values) & (missing != missing))
    row, series = np.nonzero(is_there)
    cells = {c.name: block.statistics[c.name][row, series] for c in STATISTICS}
    return {"iteration": block.recorded[row], "series": series, **cells}


def fill(statistics: Table, recorded: NDArray[np.int64], long: dict[str, Any]) -> None:
    """Put statistics in long form where they belong; rows of other iterations are left out.

    Raises
    ------
    LookupError
        A series that the statistics have no place for.
    """
    if (long["series"] < 0).any():
        raise LookupError("a negative series")
    rows = np.searchsorted(recorded, long["iteration"])
    is_inside = np.append(recorded, -1)[rows] == long["iteration"]
    place = rows[is_inside], long["series"][is_inside]
    for name in statistics.names:
        statistics[name][place] = long[name][is_inside]
