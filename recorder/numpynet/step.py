"""One training step, and the only place where an observer sees its tensors.

A `Tap` is called in execution order: the batch (input, sample weights, label), weights before
the step, preactivations and outputs forward, loss, gradients backward, updates, states. Arrays
handed over are never changed afterwards. Without a tap nothing is copied or kept.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from deeplocalize.traces.schema import Kind

from .arrays import Array
from .layers import Layer
from .losses import Loss
from .optimizers import Optimizer, Parameter


class Tap(Protocol):
    """Receives the tensors of a step one by one, and then hears that it is complete."""

    def __call__(self, kind: Kind, layer: Layer | None, tensor: str, values: Array) -> None:
        """Take a tensor; keep it as long as you like, but do not change it.

        ``layer`` is None for tensors of the batch or the step. ``tensor`` is the weight's or
        state's name, and empty where kind and layer say it all.
        """

    def end_step(self, metrics: Mapping[str, float]) -> None:
        """The step is complete; ``metrics`` are means over the epoch so far, none outside `fit`."""


TakeTensor = Callable[[Kind, Layer | None, str, Array], None]
"""The part of a `Tap` that a step itself calls."""


@dataclass(frozen=True)
class Objective:
    """The loss as it is taken: of the network's output, or of the last preactivation."""

    loss: Loss
    is_fused: bool

    def value(
        self, y: Array, layers: Sequence[Layer], output: Array, weight: Array | None
    ) -> float:
        """Loss of the last forward pass."""
        return self.loss(y, self._point(layers, output), weight)

    def gradient(
        self, y: Array, layers: Sequence[Layer], output: Array, weight: Array | None
    ) -> Array:
        """dL/d output, or if fused dL/d last preactivation."""
        return self.loss.gradient(y, self._point(layers, output), weight)

    def _point(self, layers: Sequence[Layer], output: Array) -> Array:
        logits = layers[-1].preactivation
        return logits if self.is_fused and logits is not None else output


@dataclass(frozen=True)
class StepResult:
    """Loss of this batch alone, and what the network returned for it."""

    loss: float
    output: Array


def make_objective(loss: Loss, layers: Sequence[Layer]) -> Objective:
    """The loss of a network, fused with its last activation where Keras fuses them."""
    fused = loss.fused(layers[-1].activation_name)
    return Objective(loss, False) if fused is None else Objective(fused, True)


def forward(
    layers: Sequence[Layer], x: Array, training: bool, tap: TakeTensor | None = None
) -> Array:
    """Output of the last layer for a batch x."""
    for layer in layers:
        x = layer.forward(x, training)
        if tap is not None:
            if layer.preactivation is not None and not layer.is_activation:
                tap(Kind.PREACTIVATION, layer, "", layer.preactivation)
            tap(Kind.OUTPUT, layer, "", x)
    return x


def backward(
    layers: Sequence[Layer], gradient: Array, past_activation: bool, tap: TakeTensor | None = None
) -> None:
    """Fill the gradients of every learning layer.

    ``gradient`` is dL/d output of the last layer, or with ``past_activation`` of its
    preactivation. The way back ends at the first learning layer, with a tap at the first layer.
    """
    learning = [i for i, layer in enumerate(layers) if layer.is_learning]
    first = 0 if tap is not None else min(learning, default=len(layers))
    for i in reversed(range(first, len(layers))):
        layer = layers[i]
        if tap is not None and not past_activation:
            tap(Kind.OUTPUT_GRADIENT, layer, "", gradient)
        gradient = layer.backward(gradient, to_input=i > first, past_activation=past_activation)
        # A fused loss has passed the last activation; a layer that is nothing else is done.
        past_activation = False
        if tap is not None:
            if layer.preactivation_gradient is not None and not layer.is_activation:
                tap(Kind.PREACTIVATION_GRADIENT, layer, "", layer.preactivation_gradient)
            if layer.is_learning:
                for name in layer.weights:
                    tap(Kind.WEIGHT_GRADIENT, layer, name, layer.gradients[name])


def train_step(
    layers: Sequence[Layer],
    objective: Objective,
    optimizer: Optimizer,
    x: Array,
    y: Array,
    sample_weight: Array | None = None,
    tap: TakeTensor | None = None,
) -> StepResult:
    """Forward, loss, backward, update: one step on one batch.

    Raises
    ------
    ValueError
        The batch does not fit the network or its loss.
    """
    # Overflow and NaN are what a recording is to show; a warning for each would hide it.
    with np.errstate(all="ignore"):
        if tap is not None:
            _tap_batch(tap, x, y, sample_weight)
            before = _tap_weights(tap, layers)
        output = forward(layers, as_input(layers[0], x), True, tap)
        loss = objective.value(y, layers, output, sample_weight)
        if tap is not None:
            tap(Kind.LOSS, None, "", np.asarray(loss, dtype=output.dtype))
        gradient = objective.gradient(y, layers, output, sample_weight)
        backward(layers, gradient, objective.is_fused, tap)
        optimizer.apply(parameters(layers))
        if tap is not None:
            _tap_changes(tap, layers, before)
    return StepResult(loss, output)


def test_step(
    layers: Sequence[Layer],
    objective: Objective,
    x: Array,
    y: Array,
    sample_weight: Array | None = None,
) -> StepResult:
    """Forward in inference, and the loss."""
    with np.errstate(all="ignore"):
        output = forward(layers, as_input(layers[0], x), False)
        return StepResult(objective.value(y, layers, output, sample_weight), output)


def fan_out(taps: Iterable[Tap]) -> TakeTensor | None:
    """What hands every tensor on to each of several taps; None for none."""
    several = tuple(taps)
    if len(several) < 2:
        return several[0] if several else None

    def tap_all(kind: Kind, layer: Layer | None, tensor: str, values: Array) -> None:
        for tap in several:
            tap(kind, layer, tensor, values)

    return tap_all


def as_input(first: Layer, x: Array) -> Array:
    """A batch as the network computes with it; numbers of rows stay whole."""
    return x if first.takes_indices else x.astype(first.dtype, copy=False)


def parameters(layers: Sequence[Layer]) -> Iterator[Parameter]:
    """Every weight that training changes, with its gradient."""
    for layer in layers:
        if layer.is_learning:
            for name, value in layer.weights.items():
                yield Parameter(
                    f"{layer.name}/{name}",
                    value,
                    layer.gradients[name],
                    layer.learning_rate,
                    layer.gradient_squares.get(name),
                )


def _tap_batch(tap: TakeTensor, x: Array, y: Array, sample_weight: Array | None) -> None:
    tap(Kind.INPUT, None, "", x)
    if sample_weight is not None:
        tap(Kind.SAMPLE_WEIGHT, None, "", sample_weight)
    tap(Kind.LABEL, None, "", y)


def _tap_weights(tap: TakeTensor, layers: Sequence[Layer]) -> dict[str, Array]:
    """Hand over copies: the weights themselves are about to change in place."""
    before: dict[str, Array] = {}
    for layer in layers:
        for name, value in layer.weights.items():
            before[f"{layer.name}/{name}"] = copy = value.copy()
            tap(Kind.WEIGHT, layer, name, copy)
    return before


def _tap_changes(tap: TakeTensor, layers: Sequence[Layer], before: dict[str, Array]) -> None:
    for layer in layers:
        if layer.is_learning:
            for name, value in layer.weights.items():
                tap(Kind.WEIGHT_UPDATE, layer, name, value - before[f"{layer.name}/{name}"])
    for layer in layers:
        for name, value in layer.state.items():
            tap(Kind.STATE, layer, name, value)
