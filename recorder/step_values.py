"""The tensors of one executed step, as a backend hands them over."""

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_N_BYTES = operator.attrgetter("nbytes")

ABSENT: NDArray[Any] = np.empty(0)
"""Stands for a tensor that was not handed over."""


@dataclass(frozen=True)
class StepNumbers:
    """What is recorded of a step of which nothing is measured; NaN or -1: not known."""

    loss: float
    n_samples: int
    learning_rate: float = float("nan")
    loss_scale: float = 1.0
    is_loss_known: bool = True


@dataclass(frozen=True)
class StepValues:
    """Tensors in the order of the plan they belong to, which must not change any more.

    Attributes
    ----------
    minus
        Where it has an array, the series is the difference of the two.
    is_loss_known
        Whether the tensor of kind loss means anything this time.
    rows
        The statistics of all tensors, where the framework has taken them, as `StepKernel` fills
        them in; they are kept as they are.
    is_allowed
        Whether the budget allows for the statistics, where the framework has asked it already.
    is_finite
        Whether the framework has seen that nothing is NaN or infinite; False where it did not look.
    has_tensors
        False where the device has them, or nobody would keep them: the batch and the loss are
        given all the same, and the others may be `ABSENT`.
    known_bytes
        Size of the tensors, where it is known without looking at each of them.
    """

    tensors: Sequence[NDArray[Any]]
    minus: Sequence[NDArray[Any] | None]
    learning_rate: float = float("nan")
    loss_scale: float = 1.0
    is_loss_known: bool = True
    rows: NDArray[np.int64] | None = None
    is_allowed: bool | None = None
    is_finite: bool = False
    has_tensors: bool = True
    known_bytes: int | None = None

    @functools.cached_property
    def n_bytes(self) -> int:
        """Size of the tensors; a weight counts once, though its successor is compared with it."""
        if self.known_bytes is not None:
            return self.known_bytes
        arrays = [*self.tensors, *(x for x in self.minus if x is not None)]
        return sum(dict(zip(map(id, arrays), map(_N_BYTES, arrays), strict=True)).values())
