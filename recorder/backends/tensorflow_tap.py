"""Run a train step's body and collect its tensors."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from ..keras_model import PlacedLayer, own_weights
from .step_tensors import StepTensors, tap_batch, tap_loss, tap_metrics
from .step_weights import WeightBefore, tap_state, tap_weights, weights_before
from .tensorflow_patches import StepPatches


class StepTap:
    """Runs a train step's body and stashes its tensors.

    Parameters
    ----------
    model
        The Keras model being trained.
    placed
        Its layers; `Tapped.layer` indexes this sequence.
    """

    def __init__(self, model: Any, placed: Sequence[PlacedLayer]) -> None:
        self._model = model
        self._placed = placed

    def run(self, train_step: Callable[[Any], Any], data: Any) -> tuple[Any, StepTensors]:
        """The step's own result, and its tensors in the order of execution.

        Whatever goes wrong in tapping is kept in `StepTensors.failure`; whatever the step
        itself raises is raised.
        """
        tensors = new_tensors()
        with tensors.noting_failure():
            tap_batch(tensors, data)
        before = self.read_weights(tensors)
        n_weights = self._n_weights()
        patches = StepPatches(self._model, self._placed, tensors, data)
        with patches.applied():
            logs = train_step(data)
        with tensors.noting_failure():
            if self._n_weights() == n_weights:
                # Else the model built itself within this trace, in graphs of its own; TensorFlow
                # traces such a step again.
                patches.leave_out_inner_calls()
            tap_metrics(tensors, logs)
            tap_loss(tensors, tensors.loss)
            self.tap_weights(tensors, before)
        return logs, tensors

    def read_weights(self, tensors: StepTensors) -> list[WeightBefore]:
        """Every weight's value at this point of the step."""
        before: list[WeightBefore] = []
        with tensors.noting_failure():
            before = weights_before(self._placed, _read)
        return before

    def tap_weights(self, tensors: StepTensors, before: Sequence[WeightBefore]) -> None:
        """Stash weights as they were, their updates, and the state that the step leaves."""
        tap_weights(tensors, before, _read)
        tap_state(tensors, self._placed, _read)

    def _n_weights(self) -> int:
        weights = [weight for place in self._placed for weight in own_weights(place.layer)]
        return sum(weight._value is not None for weight in weights)


def new_tensors() -> StepTensors:
    """No tensors yet."""
    return StepTensors((tf.Tensor,))


def _read(variable: Any) -> tf.Tensor | None:
    value = variable._value  # None where the layer is built within this very trace
    return None if value is None else value.read_value()
