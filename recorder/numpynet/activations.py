"""Activation functions: what they return and how a gradient passes back through them.

Each is a pair of pure functions. ``forward(x)`` returns y of the shape of x; ``backward(g, x, y)``
takes g = dL/dy and returns dL/dx. NaN and Inf pass through by the rules of IEEE 754: they are
what a recording of a failing training must show.
"""

# NumPy types what its ufuncs and reductions return as Any.
# mypy: disable-error-code="no-any-return"

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .arrays import Array
from .choices import choose


@dataclass(frozen=True)
class ActivationFunction:
    """A named function of the preactivation with its derivative."""

    name: str
    forward: Callable[[Array], Array]
    backward: Callable[[Array, Array, Array], Array]


def activation_named(name: str) -> ActivationFunction | None:
    """The function behind a name of Keras's; None for ``linear``, which does nothing.

    Raises
    ------
    ValueError
        The name is unknown.
    """
    return choose("activation", name, _ACTIVATIONS)


def leaky_relu(negative_slope: float) -> ActivationFunction:
    """Leaky rectifier: x where x > 0, else ``negative_slope`` x (Maas et al. 2013)."""
    return ActivationFunction(
        "leaky_relu",
        lambda x: np.where(x > 0, x, x * negative_slope),
        lambda g, x, y: np.where(x > 0, g, g * negative_slope),
    )


def elu(alpha: float) -> ActivationFunction:
    """Exponential linear unit (Clevert et al. 2016): x where x > 0, else ``alpha`` (exp(x) - 1)."""
    return ActivationFunction(
        "elu",
        lambda x: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
        lambda g, x, y: np.where(x > 0, g, g * (y + alpha)),
    )


def _relu(x: Array) -> Array:
    return np.maximum(x, 0)


def _relu_backward(g: Array, x: Array, y: Array) -> Array:
    return g * (y > 0)


def _sigmoid(x: Array) -> Array:
    # exp overflows to Inf for very negative x, and 1 / Inf is the right limit.
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


def _sigmoid_backward(g: Array, x: Array, y: Array) -> Array:
    return g * y * (1 - y)


def _tanh(x: Array) -> Array:
    return np.tanh(x)


def _tanh_backward(g: Array, x: Array, y: Array) -> Array:
    return g * (1 - y * y)


def _softmax(x: Array) -> Array:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


def _softmax_backward(g: Array, x: Array, y: Array) -> Array:
    return y * (g - (g * y).sum(axis=-1, keepdims=True))


RELU = ActivationFunction("relu", _relu, _relu_backward)
SIGMOID = ActivationFunction("sigmoid", _sigmoid, _sigmoid_backward)
TANH = ActivationFunction("tanh", _tanh, _tanh_backward)
SOFTMAX = ActivationFunction("softmax", _softmax, _softmax_backward)

# Keras's defaults differ: slope 0.2 for the activation's name, 0.3 for the layer LeakyReLU.
_ACTIVATIONS: dict[str, ActivationFunction | None] = {
    "linear": None,
    "relu": RELU,
    "leaky_relu": leaky_relu(0.2),
    "elu": elu(1.0),
    "sigmoid": SIGMOID,
    "tanh": TANH,
    "softmax": SOFTMAX,
}
