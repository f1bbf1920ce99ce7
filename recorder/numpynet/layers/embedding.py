"""A layer that looks vectors up by number."""

from typing import Any, ClassVar

import numpy as np

from ..arrays import Array, Shape
from .base import Layer


class Embedding(Layer):
    """Row i of a table for every whole number i; only as the first layer of a network.

    Parameters
    ----------
    input_dim
        Number of rows: inputs are 0 to ``input_dim`` - 1.
    output_dim
        Length of each row.

    Raises
    ------
    ValueError
        A size is not positive.
    """

    takes_indices: ClassVar[bool] = True

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: str = "uniform",
        *,
        input_shape: Shape | None = None,
        learning_rate: float | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(
            input_shape=input_shape, learning_rate=learning_rate, trainable=trainable, name=name
        )
        if input_dim < 1 or output_dim < 1:
            raise ValueError(
                f"Embedding {self.name!r}: wants positive sizes, found "
                f"input_dim={input_dim}, output_dim={output_dim}"
            )
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.embeddings_initializer = embeddings_initializer

    def config(self) -> dict[str, Any]:
        """Arguments that make this layer again."""
        return {
            **super().config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": self.embeddings_initializer,
            "learning_rate": self.learning_rate,
        }

    def build(self, input_shape: Shape) -> Shape:
        """Make ``embeddings`` (input_dim, output_dim)."""
        self.weights["embeddings"] = self._initial(
            self.embeddings_initializer, (self.input_dim, self.output_dim)
        )
        return (*input_shape, self.output_dim)

    def compute(self, x: Array, training: bool) -> Array:
        """The rows of the table that x names."""
        if x.size and not (x.min() >= 0 and x.max() < self.input_dim):
            raise ValueError(
                f"{self.name}: wants whole numbers from 0 to {self.input_dim - 1}, "
                f"found {x.min()} to {x.max()}; raise input_dim or renumber the data"
            )
        self._indices = x.astype(np.intp)
        return self.weights["embeddings"][self._indices]

    def differentiate(self, gradient: Array, to_input: bool) -> Array:
        """A row collects the gradients of all the places where it was looked up.

        Keras on TensorFlow does not merge these places before RMSprop and Adam square the
        gradient: their squares are those of the places, summed.
        """
        self.gradients["embeddings"] = self._collected(gradient)
        self.gradient_squares["embeddings"] = self._collected(np.square(gradient))
        return gradient

    def _collected(self, values: Array) -> Array:
        table = np.zeros_like(self.weights["embeddings"])
        np.add.at(table, self._indices, values)
        return table
