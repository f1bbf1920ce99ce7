"""The flight recorder's ring: the last iterations in full, in memory, in case they are wanted."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deeplocalize.traces.interface import Tensor

from .step_values import StepValues

DEFAULT_BYTES = 256 << 20
DEFAULT_ITERATIONS = 8
"""Chosen: some steps before the one that breaks, in a trace that stays small."""


@dataclass(frozen=True)
class _Iteration:
    number: int
    series: Sequence[int]
    values: StepValues


class Ring:
    """Holds the tensors of the last iterations.

    Parameters
    ----------
    max_bytes
        Fewer iterations are held where they are larger, and none where a single one is.
    max_iterations
        How many are held at the most.
    """

    def __init__(self, max_bytes: int, max_iterations: int = DEFAULT_ITERATIONS) -> None:
        self.max_bytes = max_bytes
        """An iteration that takes more is not held."""
        self.max_iterations = max_iterations
        """Those before the last so many are not held any more."""
        self._iterations: deque[_Iteration] = deque()
        self._n_bytes = 0

    def push(self, number: int, series: Sequence[int], values: StepValues) -> None:
        """Hold an iteration's tensors, which must not change any more."""
        if values.n_bytes > self.max_bytes:
            self.clear()
            return
        self._iterations.append(_Iteration(number, series, values))
        self._n_bytes += values.n_bytes
        while self._n_bytes > self.max_bytes or len(self._iterations) > self.max_iterations:
            self._n_bytes -= self._iterations.popleft().values.n_bytes

    def drain(self) -> list[Tensor]:
        """Everything held, oldest first; the ring is empty then."""
        tensors = [
            Tensor(iteration.number, series, np.asarray(x if before is None else x - before))
            for iteration in self._iterations
            for series, x, before in zip(
                iteration.series, iteration.values.tensors, iteration.values.minus, strict=True
            )
        ]
        self.clear()
        return tensors

    def clear(self) -> None:
        """Hold nothing."""
        self._iterations.clear()
        self._n_bytes = 0
