"""The flight recorder's ring: the last iterations in full, in memory, in case they are wanted."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplocalize.traces.interface import Tensor

DEFAULT_BYTES = 256 << 20


@dataclass(frozen=True)
class _Iteration:
    number: int
    series: Sequence[int]
    tensors: Sequence[NDArray[Any]]
    minus: Sequence[NDArray[Any] | None]
    n_bytes: int


class Ring:
    """Holds the tensors of the last iterations, at least of one, up to a number of bytes.

    Parameters
    ----------
    max_bytes
        Nothing is held where a single iteration is larger.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._iterations: deque[_Iteration] = deque()
        self._n_bytes = 0

    def push(
        self,
        number: int,
        series: Sequence[int],
        tensors: Sequence[NDArray[Any]],
        minus: Sequence[NDArray[Any] | None],
    ) -> None:
        """Hold an iteration's tensors, which must not change any more."""
        # A weight is held once, though it is also what its successor is compared with.
        held = {id(x): x.nbytes for x in (*tensors, *minus) if x is not None}
        n_bytes = sum(held.values())
        if n_bytes > self._max_bytes:
            self.clear()
            return
        self._iterations.append(_Iteration(number, series, tensors, minus, n_bytes))
        self._n_bytes += n_bytes
        while self._n_bytes > self._max_bytes:
            self._n_bytes -= self._iterations.popleft().n_bytes

    def drain(self) -> list[Tensor]:
        """Everything held, oldest first; the ring is empty then."""
        tensors = [
            Tensor(iteration.number, series, np.asarray(x if before is None else x - before))
            for iteration in self._iterations
            for series, x, before in zip(
                iteration.series, iteration.tensors, iteration.minus, strict=True
            )
        ]
        self.clear()
        return tensors

    def clear(self) -> None:
        """Hold nothing."""
        self._iterations.clear()
        self._n_bytes = 0
