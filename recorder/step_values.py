"""The tensors of one executed step, as a backend hands them over."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ON_DEVICE: NDArray[Any] = np.empty(0)
"""Stands for a tensor that has stayed on the device."""


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
        The statistics of all tensors, where the device has taken them, as `StepKernel` fills
        them in. Then only the batch and the loss are given, and the others are `ON_DEVICE`.
    """

    tensors: Sequence[NDArray[Any]]
    minus: Sequence[NDArray[Any] | None]
    learning_rate: float = float("nan")
    loss_scale: float = 1.0
    is_loss_known: bool = True
    rows: NDArray[np.int64] | None = None

    @property
    def n_bytes(self) -> int:
        """Size of the tensors; a weight counts once, though its successor is compared with it."""
        held = {id(x): x.nbytes for x in (*self.tensors, *self.minus) if x is not None}
        return sum(held.values())
