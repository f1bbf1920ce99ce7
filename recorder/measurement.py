"""Which series of a step are measured this time, and their statistics.

Where a schedule or a budget leaves out an iteration, a few series are watched all the same, unless
the framework has looked at all of them: the batch, the loss, the state, and the gradients and
updates of the weights. When one of them is not finite for the first time, the whole step is
measured, in that very iteration.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deeplocalize.traces.schema import NONFINITE, Kind

from .kernel import COLUMNS, StepKernel
from .schedule import Schedule, is_due
from .step_values import StepValues

UNIT_KINDS = (Kind.OUTPUT, Kind.PREACTIVATION)
"""Kinds of which units are counted (`StepKernel`)."""

WATCHED_KINDS = (
    Kind.INPUT,
    Kind.LABEL,
    Kind.SAMPLE_WEIGHT,
    Kind.LOSS,
    Kind.WEIGHT_GRADIENT,
    Kind.WEIGHT_UPDATE,
    Kind.STATE,
)
"""Kinds in which shows what breaks a training: what is not finite elsewhere gets here in the same
step as a rule, or is contained by a later layer."""

# Neighbouring columns.
_NONFINITE = slice(COLUMNS.index(NONFINITE[0]), COLUMNS.index(NONFINITE[-1]) + 1)

Positions = NDArray[np.intp]
Rows = NDArray[np.int64]


class Measurement:
    """Measures the series of one form of the step.

    Parameters
    ----------
    kinds, schedules
        Of each series.
    """

    def __init__(self, kinds: Sequence[Kind], schedules: Sequence[Schedule]) -> None:
        self._kinds = kinds
        self._distinct = list(dict.fromkeys(schedules))
        self._group = np.array([self._distinct.index(schedule) for schedule in schedules], np.intp)
        self._watched = np.array([kind in WATCHED_KINDS for kind in kinds], bool)
        self._everything = np.arange(len(kinds))
        self._everything.flags.writeable = False  # handed out step after step
        self._no_rows = np.empty((0, len(COLUMNS)), np.int64)
        self._kernel_of_all = self._kernel(self._everything)
        self._kernels: dict[bytes, tuple[Positions, StepKernel]] = {}

    def measure(
        self, iteration: int, values: StepValues, allowed: bool, widens: bool
    ) -> tuple[Positions, Rows]:
        """Positions of the series that are due, and their rows of statistics.

        Parameters
        ----------
        allowed
            Whether there is time for more than watching.
        widens
            Whether to measure everything where a watched series is not finite.
        """
        if values.is_finite and not allowed:
            return self._everything[:0], self._no_rows
        now = [allowed and is_due(schedule, iteration) for schedule in self._distinct]
        if all(now):
            return self._all_rows(values)
        due = np.array(now, bool)[self._group]
        positions, rows = self._rows(due | self._watched, values)
        if widens and nonfinite(rows).any():
            return self._all_rows(values)
        kept = due[positions]
        return positions[kept], rows[kept]

    def _all_rows(self, values: StepValues) -> tuple[Positions, Rows]:
        if values.rows is not None:
            return self._everything, values.rows
        rows = np.empty((len(self._everything), len(COLUMNS)), np.int64)
        self._kernel_of_all(values.tensors, values.minus, rows)
        return self._everything, rows

    def _rows(self, chosen: NDArray[np.bool_], values: StepValues) -> tuple[Positions, Rows]:
        if values.rows is not None:
            return np.flatnonzero(chosen), values.rows[chosen]
        key = chosen.tobytes()
        if key not in self._kernels:
            positions = np.flatnonzero(chosen)
            self._kernels[key] = positions, self._kernel(positions)
        positions, kernel = self._kernels[key]
        rows = np.empty((len(positions), len(COLUMNS)), np.int64)
        chosen_tensors = [values.tensors[k] for k in positions.tolist()]
        kernel(chosen_tensors, [values.minus[k] for k in positions.tolist()], rows)
        return positions, rows

    def _kernel(self, positions: Positions) -> StepKernel:
        return StepKernel([self._kinds[k] in UNIT_KINDS for k in positions.tolist()])


def nonfinite(rows: Rows) -> NDArray[np.bool_]:
    """Which rows of statistics count a NaN or Inf."""
    return np.asarray(rows[:, _NONFINITE].any(axis=1))
