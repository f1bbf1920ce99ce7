"""The tensors of one executed step, as a backend hands them over."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class StepValues:
    """Tensors in the order of the plan they belong to.

    Attributes
    ----------
    minus
        Where it has an array, the series is the difference of the two.
    is_loss_known
        Whether the tensor of kind loss means anything this time.
    lasting
        Whether the arrays stay as they are after the call, and need no copy to be kept.
    """

    tensors: Sequence[NDArray[Any]]
    minus: Sequence[NDArray[Any] | None]
    learning_rate: float = float("nan")
    loss_scale: float = 1.0
    is_loss_known: bool = True
    lasting: bool = False
