"""Activations as layers of their own."""

from typing import Any, ClassVar

from ..activations import RELU, SIGMOID, SOFTMAX, TANH, ActivationFunction, elu, leaky_relu
from ..arrays import Shape
from .base import Layer


class Activation(Layer):
    """Any activation by its name.

    Raises
    ------
    ValueError
        The name is unknown.
    """

    is_activation: ClassVar[bool] = True

    def __init__(
        self,
        activation: str,
        *,
        input_shape: Shape | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(
            activation=activation, input_shape=input_shape, trainable=trainable, name=name
        )

    @property
    def activation_name(self) -> str:
        """Keras's name of the activation, ``linear`` for none."""
        return super().activation_name or "linear"

    def config(self) -> dict[str, Any]:
        """Arguments that make this layer again."""
        return {**super().config(), "activation": self.activation_name}


class _Fixed(Layer):
    """What the layers named after their activation have in common."""

    is_activation: ClassVar[bool] = True
    function: ClassVar[ActivationFunction | None] = None

    def __init__(
        self,
        *,
        input_shape: Shape | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(
            activation=self.function, input_shape=input_shape, trainable=trainable, name=name
        )


class ReLU(_Fixed):
    """Rectifier: y = max(x, 0)."""

    function = RELU


class Sigmoid(_Fixed):
    """Logistic function: y = 1 / (1 + exp(-x))."""

    function = SIGMOID


class Tanh(_Fixed):
    """Hyperbolic tangent: y = tanh(x)."""

    function = TANH


class Softmax(_Fixed):
    """Probabilities: y = exp(x) / sum of exp(x) over the last axis."""

    function = SOFTMAX


class Linear(_Fixed):
    """Identity: y = x."""


class LeakyReLU(Layer):
    """Leaky rectifier: y = x where x > 0, else ``negative_slope`` x."""

    is_activation: ClassVar[bool] = True

    def __init__(
        self,
        negative_slope: float = 0.3,
        *,
        input_shape: Shape | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        function = leaky_relu(negative_slope)
        super().__init__(
            activation=function, input_shape=input_shape, trainable=trainable, name=name
        )
        self.negative_slope = negative_slope

    def config(self) -> dict[str, Any]:
        """Arguments that make this layer again."""
        return {**super().config(), "negative_slope": self.negative_slope}


class ELU(Layer):
    """Exponential linear unit: y = x where x > 0, else ``alpha`` (exp(x) - 1)."""

    is_activation: ClassVar[bool] = True

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        input_shape: Shape | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(
            activation=elu(alpha), input_shape=input_shape, trainable=trainable, name=name
        )
        self.alpha = alpha

    def config(self) -> dict[str, Any]:
        """Arguments that make this layer again."""
        return {**super().config(), "alpha": self.alpha}
