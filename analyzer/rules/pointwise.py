"""Losses that compare each output with its target by itself, as functions of the two.

The formulas are those of Keras (``keras/src/losses/losses.py``). Arguments are NumPy arrays that
broadcast: targets first, predictions second. Binary targets of hinge losses are -1 and 1.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..loss import Loss

Values = NDArray[np.float64]
Pointwise = Callable[[Values, Values], Values]

# What Keras adds to, or keeps arguments of logarithms and denominators above.
EPSILON = 1e-7


def pointwise(loss: Loss) -> Pointwise | None:
    """The function of a loss; None where it is not one of these, or looks at whole rows."""
    if loss.name == "huber":
        return _huber(loss.setting("delta", 1.0))
    if loss.name == "binary_focal_crossentropy":
        balances = loss.config.get("apply_class_balancing") is True
        return _focal(loss.setting("gamma", 2.0), loss.setting("alpha", 0.25) if balances else None)
    return _FUNCTIONS.get(loss.name)


def _squared(y: Values, p: Values) -> Values:
    return np.asarray((y - p) ** 2)


def _absolute(y: Values, p: Values) -> Values:
    return np.asarray(np.abs(y - p))


def _percentage(y: Values, p: Values) -> Values:
    return np.asarray(100 * np.abs(y - p) / np.maximum(np.abs(y), EPSILON))


def _logarithmic(y: Values, p: Values) -> Values:
    logs = (np.log1p(np.maximum(value, EPSILON)) for value in (y, p))
    return _squared(*logs)


def _log_cosh(y: Values, p: Values) -> Values:
    x = np.abs(y - p)
    return np.asarray(x + np.log1p(np.exp(-2 * x)) - np.log(2))


def _poisson(y: Values, p: Values) -> Values:
    return np.asarray(p - y * np.log(p + EPSILON))


def _hinge(y: Values, p: Values) -> Values:
    return np.asarray(np.maximum(1 - y * p, 0))


def _squared_hinge(y: Values, p: Values) -> Values:
    return _squared(_hinge(y, p), np.zeros(()))


def _huber(delta: float) -> Pointwise:
    def huber(y: Values, p: Values) -> Values:
        x = np.abs(y - p)
        return np.where(x <= delta, x * x / 2, delta * x - delta * delta / 2)

    return huber


def _focal(gamma: float, alpha: float | None) -> Pointwise:
    def focal(y: Values, p: Values) -> Values:
        p = np.clip(p, EPSILON, 1 - EPSILON)
        hit = (1 if alpha is None else alpha) * (1 - p) ** gamma * np.log(p)
        miss = (1 if alpha is None else 1 - alpha) * p**gamma * np.log1p(-p)
        return np.asarray(-y * hit - (1 - y) * miss)

    return focal


_FUNCTIONS: dict[str, Pointwise] = {
    "mean_squared_error": _squared,
    "mean_absolute_error": _absolute,
    "mean_absolute_percentage_error": _percentage,
    "mean_squared_logarithmic_error": _logarithmic,
    "log_cosh": _log_cosh,
    "poisson": _poisson,
    "hinge": _hinge,
    "squared_hinge": _squared_hinge,
}
