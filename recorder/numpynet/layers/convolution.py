"""A layer of filters that slide over images."""

from typing import Any

import numpy as np

from ..arrays import Array, Shape
from ..windows import Pair, image_output, make_windows
from .base import Layer


class Conv2D(Layer):
    """Cross-correlation of images (N, H, W, C) with filters, as matrix products (im2col).

    Parameters
    ----------
    kernel_size, strides
        Rows and columns, or one number for both.
    padding
        ``"valid"`` or ``"same"``, as TensorFlow pads (see ``windows.py``).
    learning_rate, lr_rate
        Of this layer alone, instead of the optimizer's.

    Raises
    ------
    ValueError
        An argument is out of its range.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Pair,
        strides: int | Pair = (1, 1),
        padding: str = "valid",
        activation: str | None = None,
        *,
        use_bias: bool = True,
        kernel_initializer: str = "glorot_uniform",
        bias_initializer: str = "zeros",
        input_shape: Shape | None = None,
        learning_rate: float | None = None,
        lr_rate: float | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(
            activation=activation,
            input_shape=input_shape,
            learning_rate=lr_rate if learning_rate is None else learning_rate,
            trainable=trainable,
            name=name,
        )
        label = f"Conv2D {self.name!r}"
        if not isinstance(filters, int) or filters < 1:
            raise ValueError(f"{label}: wants a positive number of filters, found {filters!r}")
        self.filters = filters
        self.windows = make_windows(kernel_size, strides, padding, label)
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
            "filters": self.filters,
            "kernel_size": self.windows.size,
            "strides": self.windows.strides,
            "padding": self.windows.padding,
            "activation": self.activation_name,
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer,
            "bias_initializer": self.bias_initializer,
            "learning_rate": self.learning_rate,
        }

    def build(self, input_shape: Shape) -> Shape:
        """Make ``kernel`` (rows, columns, channels, filters) and ``bias`` (filters)."""
        output_shape = image_output(self.windows, input_shape, self.filters, self.name)
        self.weights["kernel"] = self._initial(
            self.kernel_initializer, (*self.windows.size, input_shape[2], self.filters)
        )
        if self.use_bias:
            self.weights["bias"] = self._initial(self.bias_initializer, (self.filters,))
        return output_shape

    def compute(self, x: Array, training: bool) -> Array:
        """Every window as one row of a matrix, times the filters."""
        padded = self.windows.pad(x, 0)
        view = self.windows.view(padded)
        self._padded_shape = padded.shape
        self._rows = view.reshape(np.prod(view.shape[:3]), -1)
        z = self._rows @ self.weights["kernel"].reshape(-1, self.filters)
        if self.use_bias:
            z += self.weights["bias"]
        return z.reshape(len(x), *self.output_shape)

    def differentiate(self, gradient: Array, to_input: bool) -> Array:
        """As for `Dense`; a pixel collects the gradients of all the windows that it is in."""
        kernel = self.weights["kernel"]
        g = gradient.reshape(-1, self.filters)
        self.gradients["kernel"] = (self._rows.T @ g).reshape(kernel.shape)
        if self.use_bias:
            self.gradients["bias"] = g.sum(axis=0)
        if not to_input:
            return gradient
        padded = np.zeros(self._padded_shape, dtype=gradient.dtype)
        places = kernel.reshape(-1, *kernel.shape[2:])
        counts = (self.output_shape[0], self.output_shape[1])
        for place, target in zip(places, self.windows.offsets(padded, counts), strict=True):
            target += (g @ place.T).reshape(target.shape)
        return self.windows.unpad(padded, self.input_shape)
