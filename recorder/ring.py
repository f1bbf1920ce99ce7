"""The flight recorder's ring: the last iterations in full, in memory, in case they are wanted."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deeplocalize.traces.interface import Tensor

from .step_values import StepValues

DEFAULT_BYTES = 256 << 20
_DEFAULT_ITERATIONS = 8
"""Chosen: some steps before the one that breaks, in a trace that stays small."""

_CACHED_BYTES = 16 << 20
"""What caches hold, roughly. Beyond that each step writes to memory that is cold, which takes a
small convolutional network a tenth more time."""


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
        How many are held at the most; None for eight, or as many as take 16 MiB, and one at least.
    """

    def __init__(self, max_bytes: int, max_iterations: int | None = None) -> None:
        self._max_bytes = max_bytes
        self._max_iterations = max_iterations
        self._iterations: deque[_Iteration] = deque()
        self._n_bytes = 0

    def n_held(self, n_bytes: int) -> int:
        """How many iterations are held if all take so many bytes."""
        if n_bytes > self._max_bytes:
            return 0
        if self._max_iterations is not None:
            return self._max_iterations
        return max(1, min(_DEFAULT_ITERATIONS, _CACHED_BYTES // max(1, n_bytes)))

    def push(self, number: int, series: Sequence[int], values: StepValues) -> None:
        """Hold an iteration's tensors, which must not change any more."""
        if values.n_bytes > self._max_bytes:
            self.clear()
            return
        self._iterations.append(_Iteration(number, series, values))
        self._n_bytes += values.n_bytes
        while self._n_bytes > self._max_bytes or self._is_too_long():
            self._n_bytes -= self._iterations.popleft().values.n_bytes

    def _is_too_long(self) -> bool:
        n = len(self._iterations)
        if self._max_iterations is not None:
            return n > self._max_iterations
        return n > _DEFAULT_ITERATIONS or (n > 1 and self._n_bytes > _CACHED_BYTES)

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
