"""A layer that makes each sample a vector."""

from math import prod

from ..arrays import Array, Shape
from .base import Layer


class Flatten(Layer):
    """All axes but the batch's as one, the last running fastest."""

    def build(self, input_shape: Shape) -> Shape:
        """One axis with as many elements as a sample has."""
        return (prod(input_shape),)

    def compute(self, x: Array, training: bool) -> Array:
        """The same elements, in the same order."""
        return x.reshape(len(x), -1)

    def differentiate(self, gradient: Array, to_input: bool) -> Array:
        """The same elements, in the shape of the input."""
        return gradient.reshape(len(gradient), *self.input_shape)
