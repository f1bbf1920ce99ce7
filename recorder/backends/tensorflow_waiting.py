"""The memory in which steps of one form wait, and what Python takes from it."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from ..kernel import mend_overflow
from ..row import N_COLUMNS
from ..step_values import StepNumbers, StepValues
from .tensorflow_c_api import library
from .tensorflow_calls import release
from .tensorflow_held import Chosen, HeldTensors
from .tensorflow_records import LEFT_OUT, LEFT_OUT_BROKEN, MEASURED, MOST_STEPS
from .tensorflow_step import Distinct, TracedStep, numbers_of


class WaitingSteps:
    """Up to `MOST_STEPS` steps of one form, as its operations leave them.

    Parameters
    ----------
    step
        The form, as it was traced.
    distinct
        Its tensors.
    """

    def __init__(self, step: TracedStep, distinct: Distinct) -> None:
        self._distinct = distinct
        self._float64 = [k for k, one in enumerate(step.tapped) if one.value.dtype == tf.float64]
        n_tensors, n_rows = len(distinct.tensors), len(step.tapped)
        self._outcomes = np.zeros(MOST_STEPS, np.int64)
        self._rows = np.zeros((MOST_STEPS, n_rows, N_COLUMNS), np.int64)
        self._numbers = np.zeros((MOST_STEPS, len(step.numbers) + 1))
        self._tensors = np.zeros((MOST_STEPS, n_tensors), np.int64)
        self._sizes = np.zeros(MOST_STEPS, np.int64)
        self._n_samples = np.zeros(MOST_STEPS, np.int64)
        self._ended_ns = np.zeros(MOST_STEPS, np.int64)

    @property
    def addresses(self) -> dict[str, int]:
        """Where the arrays are, by the names of `FORM`."""
        arrays = {
            "outcomes": self._outcomes,
            "rows": self._rows,
            "numbers": self._numbers,
            "tensors": self._tensors,
            "sizes": self._sizes,
            "n_samples": self._n_samples,
            "ended_ns": self._ended_ns,
        }
        return {name: array.ctypes.data for name, array in arrays.items()}

    def n_bytes(self, n: int) -> int:
        """What the tensors of the last of the first ``n`` steps take."""
        return int(self._sizes[n - 1])

    def are_measured(self, n: int) -> list[bool]:
        """Which of the first steps are."""
        return [outcome == MEASURED for outcome in self._outcomes[:n].tolist()]

    def ended_ns(self, n: int) -> int:
        """When the last of the first ``n`` steps ended."""
        return int(self._ended_ns[n - 1])

    def durations_s(self, n: int, began_ns: int | None) -> list[float]:
        """How long each of the first steps took; NaN: when the first of them began is not known."""
        later: list[float] = (np.diff(self._ended_ns[:n]) / 1e9).tolist()
        first = math.nan if began_ns is None else (int(self._ended_ns[0]) - began_ns) / 1e9
        return [first, *later]

    def stretches(self, n: int, watches: bool) -> Iterator[tuple[slice, bool]]:
        """The first steps in their order, and whether there is, or is wanted, more than numbers.

        ``watches``: whether a step that breaks is wanted though the budget left it out.
        """
        unwanted = (LEFT_OUT,) if watches else (LEFT_OUT, LEFT_OUT_BROKEN)
        are_whole = self._tensors[:n].all(axis=1)
        are_wanted = (are_whole | ~np.isin(self._outcomes[:n], unwanted)).tolist()
        for is_wanted, steps in itertools.groupby(range(n), are_wanted.__getitem__):
            first, *others = steps
            yield slice(first, first + len(others) + 1), is_wanted

    def numbers(self, steps: slice) -> Iterator[tuple[StepNumbers, float]]:
        """Those of some steps, and how many seconds ago each of them ended.

        Their tensors are let go of.
        """
        release(self._tensors[steps].reshape(-1))
        n_samples, ended_ns = self._n_samples[steps].tolist(), self._ended_ns[steps].tolist()
        for k, (*others, loss) in enumerate(self._numbers[steps].tolist()):
            yield StepNumbers(loss, n_samples[k], **numbers_of(others)), _age_s(ended_ns[k])

    def values(self, steps: slice, watches: bool) -> Iterator[tuple[StepValues, float]]:
        """Some steps, and how many seconds ago each of them ended.

        ``watches``: whether a step that breaks is wanted though the budget left it out.
        """
        # Copies: while these are looked at, the memory is used for further steps.
        held = [HeldTensors(step.copy()) for step in self._tensors[steps]]
        rows, ended_ns = self._rows[steps].copy(), self._ended_ns[steps].tolist()
        numbers, sizes = self._numbers[steps].tolist(), self._sizes[steps].tolist()
        outcomes = self._outcomes[steps].tolist()
        for k in range(len(held)):
            values = Chosen(held[k], self._distinct.places)
            minus = Chosen(held[k], self._distinct.places_of_minus)
            others: dict[str, Any] = numbers_of(numbers[k][:-1])
            others |= {"known_bytes": sizes[k], "is_allowed": True}
            others["has_tensors"] = held[k].is_complete
            if outcomes[k] != MEASURED and (outcomes[k] == LEFT_OUT or not watches):
                others |= {"is_allowed": False, "is_finite": True}
            elif outcomes[k] == MEASURED or not held[k].is_complete:
                # Else it was looked at and broke: its tensors are there, and measured now.
                others["rows"] = rows[k]
                for row in self._float64:
                    mend_overflow(values[row], minus[row], rows[k, row])
            yield StepValues(values, minus, **others), _age_s(ended_ns[k])


def _age_s(ended_ns: int) -> float:
    now_ns: int = library().TF_NowNanos()
    return max(0, now_ns - ended_ns) / 1e9
