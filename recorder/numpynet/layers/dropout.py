"""A layer that hides a random part of its input while training."""

from typing import Any

import numpy as np

from ..arrays import Array, Shape
from .base import Layer


class Dropout(Layer):
    """Each element is 0 with probability ``rate``, else divided by 1 - ``rate``.

    Only while training: inference passes everything (inverted dropout, Srivastava et al. 2014,
    section 10).

    Raises
    ------
    ValueError
        The rate is not in [0, 1).
    """

    def __init__(
        self,
        rate: float,
        *,
        input_shape: Shape | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(input_shape=input_shape, trainable=trainable, name=name)
        if not 0 <= rate < 1:
            raise ValueError(
                f"Dropout {self.name!r}: rate is the part to drop, in [0, 1), found {rate!r}"
            )
        self.rate = rate
        self._is_kept: Array | None = None

    def config(self) -> dict[str, Any]:
        """Arguments that make this layer again."""
        return {**super().config(), "rate": self.rate}

    def compute(self, x: Array, training: bool) -> Array:
        """What is kept of x, drawn anew for every element."""
        self._is_kept = None
        if not training or self.rate == 0:
            return x
        self._is_kept = self._rng.random(x.shape, dtype="float32") >= self.rate
        return self._kept(x)

    def differentiate(self, gradient: Array, to_input: bool) -> Array:
        """What is kept of the gradient: the same elements."""
        return gradient if self._is_kept is None else self._kept(gradient)

    def _kept(self, values: Array) -> Array:
        # Not a product: Inf times False would be NaN.
        assert self._is_kept is not None
        return np.where(self._is_kept, values / (1 - self.rate), 0).astype(values.dtype, copy=False)
