"""Layers that keep one number of each window of an image: its largest, or its mean."""

from typing import Any

import numpy as np

from ..arrays import Array, Shape
from ..windows import Pair, image_output, make_windows
from .base import Layer


class _Pooling(Layer):
    """What both have in common: windows that by default do not overlap, and no weights."""

    def __init__(
        self,
        pool_size: int | Pair = (2, 2),
        strides: int | Pair | None = None,
        padding: str = "valid",
        *,
        input_shape: Shape | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(input_shape=input_shape, trainable=trainable, name=name)
        self.windows = make_windows(
            pool_size,
            pool_size if strides is None else strides,
            padding,
            f"{self.class_name} {self.name!r}",
        )

    def config(self) -> dict[str, Any]:
        """Arguments that make this layer again."""
        return {
            **super().config(),
            "pool_size": self.windows.size,
            "strides": self.windows.strides,
            "padding": self.windows.padding,
        }

    def build(self, input_shape: Shape) -> Shape:
        """Shape (rows, columns, channels) of the pooled image."""
        self._counts = self.windows.counts(input_shape)
        return image_output(self.windows, input_shape, None, self.name)


class MaxPooling2D(_Pooling):
    """The largest number of each window, channel by channel; a NaN in a window wins."""

    def compute(self, x: Array, training: bool) -> Array:
        """Maximum over the places of the window."""
        self._padded = self.windows.pad(x, -np.inf)
        places = self.windows.offsets(self._padded, self._counts)
        self._largest = next(places).copy()
        for values in places:
            np.maximum(self._largest, values, out=self._largest)
        return self._largest

    def differentiate(self, gradient: Array, to_input: bool) -> Array:
        """The gradient goes to the largest number; to the first of equal ones, as TensorFlow."""
        if not to_input:
            return gradient
        padded = np.zeros(self._padded.shape, dtype=gradient.dtype)
        is_open = np.ones(gradient.shape, dtype=bool)
        sources = self.windows.offsets(self._padded, self._counts)
        targets = self.windows.offsets(padded, self._counts)
        for source, target in zip(sources, targets, strict=True):
            is_here = is_open & (source == self._largest)
            is_open &= ~is_here
            # Not a product: Inf times False would be NaN.
            target += np.where(is_here, gradient, 0)
        return self.windows.unpad(padded, self.input_shape)


class AveragePooling2D(_Pooling):
    """The mean of each window, channel by channel, without the padding."""

    def build(self, input_shape: Shape) -> Shape:
        """Also count the pixels that each window has inside the image."""
        output_shape = super().build(input_shape)
        inside = self.windows.pad(np.ones((1, *input_shape[:2], 1), dtype=self.dtype), 0)
        self._n_inside = sum(self.windows.offsets(inside, self._counts))
        return output_shape

    def compute(self, x: Array, training: bool) -> Array:
        """Sum over the places of the window, divided by their number."""
        padded = self.windows.pad(x, 0)
        self._padded_shape = padded.shape
        places = self.windows.offsets(padded, self._counts)
        total = next(places).copy()
        for values in places:
            total += values
        total /= self._n_inside
        return total

    def differentiate(self, gradient: Array, to_input: bool) -> Array:
        """Every pixel of a window gets an equal share."""
        if not to_input:
            return gradient
        share = gradient / self._n_inside
        padded = np.zeros(self._padded_shape, dtype=gradient.dtype)
        for target in self.windows.offsets(padded, self._counts):
            target += share
        return self.windows.unpad(padded, self.input_shape)
