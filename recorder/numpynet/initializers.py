"""Initial values of weights, with the distributions and defaults of Keras's initializers."""

from collections.abc import Callable
from math import prod, sqrt

import numpy as np

from .arrays import Array, Shape
from .choices import choose

Initializer = Callable[[np.random.Generator, Shape], Array]

# Standard deviation of a unit normal cut at +-2: dividing by it restores the variance aimed at.
_STDDEV_OF_TRUNCATED = 0.87962566103423978


def initial(name: str, rng: np.random.Generator, shape: Shape, dtype: str) -> Array:
    """A new weight of the given shape, drawn by the initializer of that name.

    Raises
    ------
    ValueError
        The name is unknown.
    """
    return choose("initializer", name, _INITIALIZERS)(rng, shape).astype(dtype)


def fans(shape: Shape) -> tuple[float, float]:
    """Inputs and outputs of one unit, counting every position of a convolution's window.

    The last two axes are channels in and out, those before them the window; a vector counts
    its length as both (as in Keras).
    """
    if len(shape) < 2:
        n = float(prod(shape))
        return n, n
    window = prod(shape[:-2])
    return float(window * shape[-2]), float(window * shape[-1])


def _uniform(rng: np.random.Generator, shape: Shape, limit: float) -> Array:
    return rng.uniform(-limit, limit, shape)


def _truncated_normal(rng: np.random.Generator, shape: Shape, variance: float) -> Array:
    values = rng.standard_normal(shape)
    while (outside := np.abs(values) > 2).any():
        values[outside] = rng.standard_normal(int(outside.sum()))
    return values * (sqrt(variance) / _STDDEV_OF_TRUNCATED)


def _glorot_variance(shape: Shape) -> float:
    """Glorot and Bengio 2010, equation 12."""
    return 2 / max(1.0, sum(fans(shape)))


def _he_variance(shape: Shape) -> float:
    """He et al. 2015, equation 10."""
    return 2 / max(1.0, fans(shape)[0])


_INITIALIZERS: dict[str, Initializer] = {
    "zeros": lambda rng, shape: np.zeros(shape),
    "ones": lambda rng, shape: np.ones(shape),
    "uniform": lambda rng, shape: _uniform(rng, shape, 0.05),
    "random_uniform": lambda rng, shape: _uniform(rng, shape, 0.05),
    "normal": lambda rng, shape: rng.normal(0.0, 0.05, shape),
    "random_normal": lambda rng, shape: rng.normal(0.0, 0.05, shape),
    "glorot_uniform": lambda rng, shape: _uniform(rng, shape, sqrt(3 * _glorot_variance(shape))),
    "glorot_normal": lambda rng, shape: _truncated_normal(rng, shape, _glorot_variance(shape)),
    "he_uniform": lambda rng, shape: _uniform(rng, shape, sqrt(3 * _he_variance(shape))),
    "he_normal": lambda rng, shape: _truncated_normal(rng, shape, _he_variance(shape)),
}
