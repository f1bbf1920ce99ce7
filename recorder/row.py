"""One iteration on its way into a trace, and how several become a block of columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deeplocalize.traces.schema import ITERATIONS, NONFINITE, STATISTICS
from deeplocalize.traces.table import Block, Table

from .kernel import COLUMNS

N_COLUMNS = len(COLUMNS)
_N = COLUMNS.index("n")


@dataclass
class Row:
    """One iteration on its way into the trace.

    ``series`` (int) are the indices of the series observed, ``statistics`` (series, columns) their
    rows as `StepKernel` fills them.
    """

    series: NDArray[np.intp]
    statistics: NDArray[np.int64]
    epoch: int = 0
    batch: int = 0
    n_samples: int = -1
    loss: float = float("nan")
    learning_rate: float = float("nan")
    loss_scale: float = 1.0
    time_s: float = 0.0


def block_of(rows: Sequence[Row], first_iteration: int, n_series: int) -> Block:
    """Rows of consecutive iterations as columns."""
    statistics = np.zeros((len(rows), n_series, N_COLUMNS), np.int64)
    statistics[:, :, _N] = -1
    for i, row in enumerate(rows):
        statistics[i, row.series] = row.statistics
    as_float = statistics.view(np.float64)
    as_unsigned = statistics.view(np.uint64)
    typed = {"int64": statistics, "float64": as_float, "uint64": as_unsigned}
    absent = statistics[:, :, _N] < 0
    columns = {}
    for k, column in enumerate(STATISTICS):
        values = np.ascontiguousarray(typed[column.dtype][:, :, k])
        values[absent] = column.missing or 0
        columns[column.name] = values
    is_nonfinite = np.any([columns[name] > 0 for name in NONFINITE], axis=0)
    iteration = np.arange(first_iteration, first_iteration + len(rows))
    iterations = {
        column.name: np.array([getattr(row, column.name) for row in rows], column.numpy_dtype)
        for column in ITERATIONS
        if column.name not in ("iteration", "n_nonfinite_series")
    }
    iterations["iteration"] = iteration
    iterations["n_nonfinite_series"] = is_nonfinite.sum(axis=1)
    recorded = np.array([row.series.size > 0 for row in rows], bool)
    table = Table(STATISTICS, {name: values[recorded] for name, values in columns.items()})
    return Block(Table(ITERATIONS, iterations), iteration[recorded], table)
