"""Columns of equal shape under a schema, and the block that writers take and readers give."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import TraceFormatError, TraceLookupError
from .schema import ITERATIONS, STATISTICS, Column

Array = NDArray[Any]

# What reports can name: JSON and browsers count in doubles.
LARGEST_ITERATION = 1 << 53


class Table:
    """Named NumPy columns of one common shape and of the dtypes that a schema declares.

    The first axis is the row; statistics have a second, the series. A table may hold a
    subset of the schema's columns.

    Raises
    ------
    ValueError
        A column that the schema lacks, another dtype, or columns of different shapes.
    """

    def __init__(self, schema: tuple[Column, ...], columns: Mapping[str, Array]) -> None:
        declared = {column.name: column for column in schema}
        for name, values in columns.items():
            if name not in declared:
                raise ValueError(f"no column {name!r} in {list(declared)}")
            if values.dtype != declared[name].numpy_dtype:
                raise ValueError(f"column {name!r}: {declared[name].dtype}, not {values.dtype}")
        if len({values.shape for values in columns.values()}) > 1:
            raise ValueError(
                f"columns differ in shape: { {k: v.shape for k, v in columns.items()} }"
            )
        self.schema = schema
        self._columns = dict(columns)

    def __getitem__(self, name: str) -> Array:
        return self._columns[name]

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns present."""
        return tuple(self._columns)

    @property
    def shape(self) -> tuple[int, ...]:
        """The common shape of the columns; ``(0,)`` without any."""
        return next((values.shape for values in self._columns.values()), (0,))

    def rows(self, start: int, stop: int) -> "Table":
        """Rows ``start`` to ``stop``, as views."""
        return Table(self.schema, {k: v[start:stop] for k, v in self._columns.items()})

    def series(self, index: Iterable[int] | NDArray[np.intp]) -> "Table":
        """The given series of a statistics table, copied."""
        chosen = np.asarray(index, dtype=np.intp)
        return Table(self.schema, {k: v[:, chosen] for k, v in self._columns.items()})


def empty_table(schema: tuple[Column, ...], shape: tuple[int, ...]) -> Table:
    """A table of the given shape in which nothing is recorded yet (each column's ``missing``)."""
    return Table(schema, {column.name: missing(column, shape) for column in schema})


def missing(column: Column, shape: tuple[int, ...]) -> Array:
    """An array in which nothing is recorded (0 for columns that are always recorded)."""
    return np.full(shape, column.missing or 0, dtype=column.numpy_dtype)


def selected(schema: tuple[Column, ...], names: Iterable[str] | None) -> tuple[Column, ...]:
    """The named columns of a schema, in its order; all of them for None.

    Raises
    ------
    TraceLookupError
        A name that the schema lacks.
    """
    if names is None:
        return schema
    wanted = set(names)
    unknown = wanted - {column.name for column in schema}
    if unknown:
        raise TraceLookupError(
            f"no column {', '.join(sorted(unknown))}; there are "
            + ", ".join(column.name for column in schema)
        )
    return tuple(column for column in schema if column.name in wanted)


def concatenate(tables: Iterable[Table]) -> Table:
    """The rows of tables of the same columns, one after the other; ValueError for none."""
    parts = list(tables)
    if not parts:
        raise ValueError("no tables to concatenate")
    return Table(
        parts[0].schema,
        {name: np.concatenate([part[name] for part in parts]) for name in parts[0].names},
    )


@dataclass(frozen=True)
class Block:
    """A run of consecutive iterations.

    ``iterations`` has shape (rows,). ``statistics`` has shape (recorded rows, series);
    ``recorded`` (int64) says which iteration each of its rows belongs to, since a schedule
    may skip some. A series that was not recorded in a row has ``n == -1`` there.
    """

    iterations: Table
    recorded: NDArray[np.int64]
    statistics: Table


def check_block(block: Block, n_series: int, last_iteration: int) -> None:
    """Refuse a block that cannot follow what a trace holds already.

    Raises
    ------
    ValueError
        Iterations that do not increase, statistics of an iteration that is not in the block,
        more series than ``n_series``, or columns missing.
    """
    numbers = block.iterations["iteration"]
    previous = np.concatenate(([last_iteration], numbers[:-1]))
    if (numbers <= previous).any():
        raise ValueError(f"iterations must increase: {numbers} after {last_iteration}")
    if not np.isin(block.recorded, numbers).all() or (np.diff(block.recorded) <= 0).any():
        raise ValueError(f"recorded must be increasing and within the block: {block.recorded}")
    n_rows, width = block.statistics.shape
    if n_rows != len(block.recorded) or width > n_series:
        raise ValueError(
            f"statistics of shape {block.statistics.shape} for {len(block.recorded)} recorded "
            f"iterations and a header of {n_series} series"
        )
    for table in (block.iterations, block.statistics):
        if set(table.names) != {column.name for column in table.schema}:
            raise ValueError(f"a block to write needs every column, not {list(table.names)}")


def check_order(iterations: Array, recorded: Array, source: str) -> None:
    """Refuse rows that no writer leaves.

    Raises
    ------
    TraceFormatError
        Iterations that are negative, enormous or do not increase, or recorded ones that are none
        of them.
    """
    for name, numbers in (("iterations", iterations), ("recorded iterations", recorded)):
        # Compared, not subtracted: differences of huge numbers overflow.
        if (numbers[:1] < 0).any() or (numbers[1:] <= numbers[:-1]).any():
            raise TraceFormatError(f"{source}: damaged: the {name} do not increase")
        if (numbers[-1:] > LARGEST_ITERATION).any():
            raise TraceFormatError(f"{source}: damaged: iteration {numbers[-1]} is impossible")
    if not np.isin(recorded, iterations).all():
        raise TraceFormatError(f"{source}: damaged: statistics of an iteration that is missing")


def empty_block(n_series: int, n_rows: int = 0) -> Block:
    """A block of ``n_rows`` iterations (numbered 0) with statistics rows, all missing."""
    return Block(
        empty_table(ITERATIONS, (n_rows,)),
        np.zeros(n_rows, dtype=np.int64),
        empty_table(STATISTICS, (n_rows, n_series)),
    )
