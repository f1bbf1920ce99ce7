"""A step that a compiler has closed: what can be told of it from outside."""

from typing import Any

import keras

from deeplocalize.traces.header import Unrecorded
from deeplocalize.traces.schema import Kind

from .step_tensors import StepTensors

INNER_KINDS = (
    Kind.PREACTIVATION,
    Kind.OUTPUT,
    Kind.OUTPUT_GRADIENT,
    Kind.PREACTIVATION_GRADIENT,
    Kind.WEIGHT_GRADIENT,
)
"""Kinds of what happens within a step."""


def unrecorded(reason: str) -> list[Unrecorded]:
    """What lies within the step, said to be missing."""
    return [Unrecorded(kind, None, reason) for kind in INNER_KINDS]


class RunningLoss:
    """The loss of one batch, from Keras's running sums before and after it.

    It is rounded, but as finite as the loss. Once a sum is not finite it stays so until the epoch
    ends, and tells nothing of the batches since.
    """

    def __init__(self, model: Any) -> None:
        self._tracker = getattr(model, "_loss_tracker", None)
        self._before = self._sums()

    def tap(self, tensors: StepTensors) -> None:
        """Stash the mean over the batch; nothing where Keras keeps no such sums."""
        after = self._sums()
        if after is None or self._before is None:
            return
        total, count = self._before
        tensors.loss = (after[0] - total) / (after[1] - count)
        tensors.is_loss_known = keras.ops.logical_and(
            keras.ops.isfinite(total), keras.ops.greater(after[1], count)
        )

    def _sums(self) -> tuple[Any, Any] | None:
        total = getattr(self._tracker, "total", None)
        count = getattr(self._tracker, "count", None)
        if total is None or count is None:
            return None
        # Plus nothing: a value of its own, which does not change with the variable.
        return total + 0.0, count + 0.0


def tap_hyperparameters(tensors: StepTensors, model: Any) -> None:
    """Note the optimizer's learning rate where it is a number in a variable."""
    optimizer = model.optimizer
    if optimizer is not None and isinstance(optimizer.learning_rate, keras.Variable):
        tensors.learning_rate = keras.ops.cast(optimizer.learning_rate, "float32")
