"""Weights and state of a Keras model before and after one train step."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from deeplocalize.traces.schema import Kind

from ..keras_model import PlacedLayer, own_state, own_weights
from .step_tensors import Rank, StepTensors

Read = Callable[[Any], Any]
"""The value of a Keras variable at this point of the step; None if it has none yet."""


class WeightBefore(NamedTuple):
    """A weight and its value before the update."""

    layer: int
    variable: Any
    value: Any


def weights_before(placed: Sequence[PlacedLayer], read: Read) -> list[WeightBefore]:
    """Every weight's value at this point of the step, of those that have one."""
    found = [
        WeightBefore(layer, variable, read(variable))
        for layer, place in enumerate(placed)
        for variable in own_weights(place.layer)
    ]
    return [weight for weight in found if weight.value is not None]


def tap_weights(tensors: StepTensors, before: Sequence[WeightBefore], read: Read) -> None:
    """Stash weights as they were, and the updates of those that may change."""
    for layer, variable, value in before:
        name = variable.name
        tensors.add(Kind.WEIGHT, layer, name, (Rank.WEIGHT, layer), value)
        if variable.trainable:
            after = read(variable)
            tensors.add(Kind.WEIGHT_UPDATE, layer, name, (Rank.UPDATE, layer), after, value)


def tap_state(tensors: StepTensors, placed: Sequence[PlacedLayer], read: Read) -> None:
    """Stash non-trainable state as the step leaves it."""
    for layer, place in enumerate(placed):
        for variable in own_state(place.layer):
            value = read(variable)
            if value is not None:
                tensors.add(Kind.STATE, layer, variable.name, (Rank.STATE, layer), value)
