"""What a layer is: named weights, a forward pass, and the way back for a gradient.

A subclass gives `build` (its weights), `compute` (input to preactivation) and `differentiate`
(the gradients); the activation, if it has one, is applied here. A layer remembers its last
forward pass, and `backward` refers to that.
"""

import re
from typing import Any, ClassVar

import numpy as np

from ..activations import ActivationFunction, activation_named
from ..arrays import Array, Shape
from ..initializers import initial


class Layer:
    """One step of a network.

    Attributes
    ----------
    weights, gradients
        Trainable arrays by name ("kernel", ...), and dL/d of each after a backward pass.
    gradient_squares
        By name, what an optimizer shall take for a gradient's square, if not its square.
    state
        Arrays by name that training changes without a gradient (moving statistics).
    preactivation, preactivation_gradient
        What the activation received in the last forward pass, and dL/d of it.
    learning_rate
        Overrides the optimizer's for this layer; None: the optimizer's.
    input_shape, output_shape
        Of one sample; known once built.
    """

    is_activation: ClassVar[bool] = False
    takes_indices: ClassVar[bool] = False

    def __init__(
        self,
        *,
        activation: ActivationFunction | str | None = None,
        input_shape: Shape | None = None,
        learning_rate: float | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        self.activation = (
            activation_named(activation) if isinstance(activation, str) else activation
        )
        self.given_input_shape = None if input_shape is None else tuple(input_shape)
        self.learning_rate = learning_rate
        self.trainable = trainable
        self.name = name or ""
        self.weights: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}
        self.gradient_squares: dict[str, Array] = {}
        self.state: dict[str, Array] = {}
        self.preactivation: Array | None = None
        self.preactivation_gradient: Array | None = None
        self._output: Array | None = None
        self.input_shape: Shape = ()
        self.output_shape: Shape = ()
        self.built = False
        self.dtype = "float32"
        self._rng = np.random.default_rng()

    @property
    def class_name(self) -> str:
        """Name of the layer's class, as Keras calls it."""
        return type(self).__name__

    @property
    def default_name(self) -> str:
        """Class name in snake case: what a layer without a name is called."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", self.class_name).lower()

    @property
    def activation_name(self) -> str | None:
        """Keras's name of the activation; None if there is none."""
        return None if self.activation is None else self.activation.name

    @property
    def is_learning(self) -> bool:
        """Whether training changes this layer's weights."""
        return self.trainable and bool(self.weights)

    @property
    def n_parameters(self) -> int:
        """Elements of all weights and states."""
        return sum(array.size for array in (*self.weights.values(), *self.state.values()))

    def config(self) -> dict[str, Any]:
        """Arguments that make this layer again, under Keras's names; values fit into JSON."""
        return {"name": self.name, "trainable": self.trainable}

    def prepare(self, input_shape: Shape, dtype: str, rng: np.random.Generator) -> None:
        """Make the weights for samples of the given shape.

        Raises
        ------
        ValueError
            The layer cannot take such samples.
        """
        self.input_shape, self.dtype, self._rng = input_shape, dtype, rng
        self.output_shape = self.build(input_shape)
        self.built = True

    def forward(self, x: Array, training: bool) -> Array:
        """Output (N, *output_shape) for a batch (N, *input_shape)."""
        z = self.compute(x, training)
        if self.activation is None:
            return z
        self.preactivation = z
        self._output = self.activation.forward(z)
        return self._output

    def backward(
        self, gradient: Array, *, to_input: bool = True, past_activation: bool = False
    ) -> Array:
        """dL/d input, given dL/d output of the last forward pass; fills `gradients`.

        With ``past_activation`` the gradient given is already that of the preactivation. Without
        ``to_input`` nobody wants the result, and a layer may return anything.
        """
        if self.activation is not None:
            if not past_activation:
                assert self.preactivation is not None
                assert self._output is not None
                gradient = self.activation.backward(gradient, self.preactivation, self._output)
            self.preactivation_gradient = gradient
        return self.differentiate(gradient, to_input)

    def build(self, input_shape: Shape) -> Shape:
        """Make weights and states; return the output's shape."""
        return input_shape

    def compute(self, x: Array, training: bool) -> Array:
        """What the activation receives, for a batch x."""
        return x

    def differentiate(self, gradient: Array, to_input: bool) -> Array:
        """dL/d input, given dL/d of what `compute` returned; fills `gradients`."""
        return gradient

    def _initial(self, initializer: str, shape: Shape) -> Array:
        return initial(initializer, self._rng, shape, self.dtype)
