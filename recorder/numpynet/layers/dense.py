"""A layer in which every output sees every input."""

from typing import Any

from ..arrays import Array, Shape
from .base import Layer


class Dense(Layer):
    """Returns activation(x W + b), over the last axis.

    The original spelling (``num_inputs``, ``num_outputs``, ``lr_rate``) and Keras's (``units``,
    ``input_shape``) mean the same.

    Parameters
    ----------
    units, num_outputs
        Number of outputs.
    num_inputs
        Number of inputs, for samples that are vectors.
    learning_rate, lr_rate
        Of this layer alone, instead of the optimizer's.

    Raises
    ------
    ValueError
        Arguments are missing, contradict each other or are not positive.
    """

    def __init__(
        self,
        units: int | None = None,
        activation: str | None = None,
        *,
        num_inputs: int | None = None,
        num_outputs: int | None = None,
        use_bias: bool = True,
        kernel_initializer: str = "glorot_uniform",
        bias_initializer: str = "zeros",
        input_shape: Shape | None = None,
        learning_rate: float | None = None,
        lr_rate: float | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        if num_inputs is not None and input_shape is None:
            input_shape = (num_inputs,)
        super().__init__(
            activation=activation,
            input_shape=input_shape,
            learning_rate=lr_rate if learning_rate is None else learning_rate,
            trainable=trainable,
            name=name,
        )
        outputs = num_outputs if units is None else units
        if not isinstance(outputs, int) or outputs < 1:
            raise ValueError(
                f"Dense {self.name!r}: wants a positive number of outputs (units= or "
                f"num_outputs=), found {outputs!r}"
            )
        self.units = outputs
        self.num_inputs = num_inputs
        self.use_bias = use_bias
        self.kernel_initializer = kernel_initializer
        self.bias_initializer = bias_initializer

    @property
    def activation_name(self) -> str:
        """Keras's name of the activation, ``linear`` if there is none."""
        return super().activation_name or "linear"

    def config(self) -> dict[str, Any]:
        """Arguments that make this layer again."""
        return {
            **super().config(),
            "units": self.units,
            "activation": self.activation_name,
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer,
            "bias_initializer": self.bias_initializer,
            "learning_rate": self.learning_rate,
        }

    def build(self, input_shape: Shape) -> Shape:
        """Make ``kernel`` (inputs, units) and ``bias`` (units)."""
        if not input_shape:
            raise ValueError(f"{self.name}: wants samples with at least one axis, found scalars")
        n_inputs = input_shape[-1]
        if self.num_inputs not in (None, n_inputs):
            raise ValueError(
                f"{self.name}: wants {self.num_inputs} inputs (num_inputs=), "
                f"found {n_inputs} from the layer before it; set num_inputs={n_inputs}"
            )
        self.weights["kernel"] = self._initial(self.kernel_initializer, (n_inputs, self.units))
        if self.use_bias:
            self.weights["bias"] = self._initial(self.bias_initializer, (self.units,))
        return (*input_shape[:-1], self.units)

    def compute(self, x: Array, training: bool) -> Array:
        """X W + b."""
        self._x = x
        z = x @ self.weights["kernel"]
        if self.use_bias:
            z += self.weights["bias"]
        return z

    def differentiate(self, gradient: Array, to_input: bool) -> Array:
        """The products dW = x^T g, db = sum of g, dx = g W^T, with all axes but the last as one."""
        x = self._x.reshape(-1, self._x.shape[-1])
        g = gradient.reshape(-1, self.units)
        self.gradients["kernel"] = x.T @ g
        if self.use_bias:
            self.gradients["bias"] = g.sum(axis=0)
        return gradient @ self.weights["kernel"].T if to_input else gradient
