"""Run a train step's body and collect its tensors."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from deeplocalize.traces.schema import Kind

from ..keras_model import PlacedLayer, own_state, own_weights
from .tensorflow_patches import StepPatches
from .tensorflow_tensors import Rank, StepTensors, tap_batch, tap_loss, tap_metrics


class WeightBefore(NamedTuple):
    """A weight and its value before the update."""

    layer: int
    variable: Any
    value: Any


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
        tensors = StepTensors()
        with tensors.noting_failure():
            tap_batch(tensors, data)
        before = self.read_weights(tensors)
        n_weights = len(self._all_weights())
        patches = StepPatches(self._model, self._placed, tensors)
        with patches.applied():
            logs = train_step(data)
        with tensors.noting_failure():
            if len(self._all_weights()) == n_weights:
                # Else the model built itself within this trace, in graphs of its own; TensorFlow
                # traces such a step again.
                patches.leave_out_inner_calls()
            tap_metrics(tensors, logs)
            tap_loss(tensors, tensors.loss)
            self.tap_weights(tensors, before)
            self.tap_state(tensors)
        return logs, tensors

    def read_weights(self, tensors: StepTensors) -> list[WeightBefore]:
        """Every weight's value at this point of the step."""
        before: list[WeightBefore] = []
        with tensors.noting_failure():
            for layer, variable in self._all_weights():
                before.append(WeightBefore(layer, variable, variable._value.read_value()))
        return before

    def _all_weights(self) -> list[tuple[int, Any]]:
        return [
            (layer, variable)
            for layer, place in enumerate(self._placed)
            for variable in own_weights(place.layer)
            if getattr(variable, "_value", None) is not None
        ]

    def tap_weights(self, tensors: StepTensors, before: Sequence[WeightBefore]) -> None:
        """Stash weights as they were, and the updates of those that may change."""
        for layer, variable, value in before:
            name = variable.name
            tensors.add(Kind.WEIGHT, layer, name, (Rank.WEIGHT, layer), value)
            if variable.trainable:
                after = variable._value.read_value()
                tensors.add(Kind.WEIGHT_UPDATE, layer, name, (Rank.UPDATE, layer), after, value)

    def tap_state(self, tensors: StepTensors) -> None:
        """Stash non-trainable state as the step leaves it."""
        for layer, place in enumerate(self._placed):
            for variable in own_state(place.layer):
                if getattr(variable, "_value", None) is not None:
                    value = variable._value.read_value()
                    tensors.add(Kind.STATE, layer, variable.name, (Rank.STATE, layer), value)
