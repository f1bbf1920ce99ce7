"""Derivatives by differences: the oracle for every backward pass, also of your own layers."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from .arrays import Array

_ORDERS = 4
_STEP = 0.01


def numeric_gradient(function: Callable[[Array], float], x: Array) -> Array:
    """Gradient of a smooth scalar function by central differences, extrapolated to step 0.

    Steps h, h/2, h/4 and h/8 are combined so that errors of order h^2, h^4 and h^6 cancel
    (Richardson 1911; Ridders 1982), which leaves about 1e-12 of the function's size in float64.
    ``x`` (float64) is changed while this runs and restored. The function must be smooth within
    0.01 of x: keep x away from the kinks of ReLU and the ties of a maximum.
    """
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        kept = x[index]
        table = []
        for order in range(_ORDERS):
            h = _STEP / 2**order
            x[index] = kept + h
            above = function(x)
            x[index] = kept - h
            table.append((above - function(x)) / (2 * h))
        x[index] = kept
        for order in range(1, _ORDERS):
            factor = 4**order
            table = [(factor * fine - coarse) / (factor - 1) for coarse, fine in pairwise(table)]
        gradient[index] = table[0]
    return gradient


def relative_error(found: Array, wanted: Array) -> float:
    """Largest difference, relative to the largest wanted magnitude; 0 if both are all zeros."""
    size = float(np.abs(wanted).max(initial=0.0))
    difference = float(np.abs(found - wanted).max(initial=0.0))
    return difference / size if size else difference
