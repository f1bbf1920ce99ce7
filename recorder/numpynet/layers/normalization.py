"""A layer that gives each channel mean 0 and variance 1."""

from typing import Any

import numpy as np

from ..arrays import Array, Shape
from .base import Layer


class BatchNormalization(Layer):
    """Returns gamma (x - mean) / sqrt(variance + epsilon) + beta, over the last axis.

    While training, mean and (biased) variance are those of the batch, and the moving ones move
    by 1 - ``momentum`` towards them; inference, and a layer that is not trainable, uses the
    moving ones (Ioffe and Szegedy 2015, algorithm 1; defaults and moving statistics of Keras).
    """

    def __init__(
        self,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        *,
        input_shape: Shape | None = None,
        learning_rate: float | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(
            input_shape=input_shape, learning_rate=learning_rate, trainable=trainable, name=name
        )
        self.momentum = momentum
        self.epsilon = epsilon
        self.center = center
        self.scale = scale

    def config(self) -> dict[str, Any]:
        """Arguments that make this layer again."""
        return {
            **super().config(),
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "learning_rate": self.learning_rate,
        }

    def build(self, input_shape: Shape) -> Shape:
        """Make ``gamma``, ``beta``, ``moving_mean`` and ``moving_variance`` (channels)."""
        if not input_shape:
            raise ValueError(f"{self.name}: wants samples with at least one axis, found scalars")
        channels = (input_shape[-1],)
        if self.scale:
            self.weights["gamma"] = self._initial("ones", channels)
        if self.center:
            self.weights["beta"] = self._initial("zeros", channels)
        self.state["moving_mean"] = self._initial("zeros", channels)
        self.state["moving_variance"] = self._initial("ones", channels)
        return input_shape

    def compute(self, x: Array, training: bool) -> Array:
        """The normalized batch, scaled and shifted."""
        self._uses_batch = training and self.trainable
        mean, variance = self.state["moving_mean"], self.state["moving_variance"]
        if self._uses_batch:
            axes = tuple(range(x.ndim - 1))
            mean = x.mean(axis=axes)
            variance = np.square(x - mean).mean(axis=axes)
            self._move("moving_mean", mean)
            self._move("moving_variance", variance)
        self._inverse_deviation = 1 / np.sqrt(variance + self.epsilon)
        self._normalized = (x - mean) * self._inverse_deviation
        y = self._normalized * self.weights["gamma"] if self.scale else self._normalized
        return y + self.weights["beta"] if self.center else y

    def differentiate(self, gradient: Array, to_input: bool) -> Array:
        """With n the normalized batch and means over all axes but the channels'.

        dx = (g gamma - mean(g gamma) - n mean(g gamma n)) / deviation; with moving statistics,
        which do not depend on x, dx = g gamma / deviation.
        """
        axes = tuple(range(gradient.ndim - 1))
        if self.scale:
            self.gradients["gamma"] = (gradient * self._normalized).sum(axis=axes)
        if self.center:
            self.gradients["beta"] = gradient.sum(axis=axes)
        if not to_input:
            return gradient
        g = gradient * self.weights["gamma"] if self.scale else gradient
        if self._uses_batch:
            n = self._normalized
            g = g - g.mean(axis=axes) - n * (g * n).mean(axis=axes)
        return g * self._inverse_deviation

    def _move(self, name: str, value: Array) -> None:
        # A new array each time: those handed out before stay as they were.
        moved = self.state[name] * self.momentum + value * (1 - self.momentum)
        self.state[name] = moved.astype(self.dtype, copy=False)
