"""What kind of arithmetic made the first non-finite value, guessed from the numbers around it."""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from .window import Window


class Nature(StrEnum):
    """How a value stopped being finite.

    An infinity without a NaN before it is an overflow or a pole; a NaN without an infinity
    comes from 0/0, Inf - Inf or an argument outside of a function's domain.
    """

    INFINITE = "infinite"
    UNDEFINED = "undefined"


def nature_of(window: Window, series: int) -> Nature:
    """Whether infinities or only NaN stand in the first non-finite tensor."""
    return Nature.INFINITE if window.n_inf(series) else Nature.UNDEFINED


def forward_hint(
    window: Window, series: int, inputs: Sequence[int], weights: Sequence[int] = ()
) -> str:
    """Which operation fits a layer that turns finite inputs into the given output."""
    known = [i for i in inputs if window.is_finite(i)]
    heaviest = window.largest_magnitude([i for i in weights if window.is_finite(i)])
    dtype = window.header.series[series].dtype
    if heaviest > np.sqrt(largest_finite(dtype)):
        return (
            f"its weights reach {heaviest:.3g}, so that products leave the range of {dtype} "
            f"(up to {largest_finite(dtype):.3g})"
        )
    if nature_of(window, series) is Nature.INFINITE:
        return _infinite_hint(window, series, known)
    return _undefined_hint(window, series, known)


def backward_hint(window: Window, around: Sequence[int]) -> str:
    """Which derivative fits a layer that breaks a finite gradient.

    ``around`` are the layer's inputs and outputs.
    """
    known = [i for i in around if window.is_finite(i)]
    n_zero = sum(int(window.value(i, "n_zero")) for i in known)
    if n_zero:
        return (
            f"{_zeros(n_zero)} there: the derivative of a square root, a norm, a logarithm or a "
            "quotient is infinite at 0, also where the function itself is finite"
        )
    return "the derivative overflows or is not defined at the values of this batch"


def overflow_hint(
    window: Window, around: Sequence[int], multiplied: str, is_recurrent: bool
) -> str:
    """How a layer of products alone breaks finite values: they leave the range of the type.

    ``around`` are series of what it multiplies. Nothing is said where what is known of them is
    too small for that.
    """
    known = [i for i in around if window.is_finite(i)]
    dtypes = [window.header.series[i].dtype for i in around]
    dtype = min(dtypes, key=largest_finite, default="float32")
    largest = window.largest_magnitude(known)
    values = f" of values up to {largest:.3g}" if known else ""
    # No sum has more products than the largest tensor has elements. NaN where nothing is known.
    n_summed = max((window.value(i, "n") for i in known), default=1)
    if not is_recurrent and largest < np.sqrt(largest_finite(dtype) / max(n_summed, 1)):
        return ""
    hint = f"products{values} leave the range of {dtype} (up to {largest_finite(dtype):.3g})"
    if not is_recurrent:
        return hint
    return (
        f"{hint}; a recurrent layer multiplies {multiplied} by its recurrent kernel in every step "
        "of the sequence, which explodes where that kernel enlarges them"
    )


def largest_finite(dtype: str) -> float:
    """Largest finite value of a floating-point type; that of float32 for unknown ones."""
    if dtype in ("float16", "float64"):
        return float(np.finfo(dtype).max)
    return float(np.finfo("float32").max)


def _infinite_hint(window: Window, series: int, inputs: Sequence[int]) -> str:
    dtype = window.header.series[series].dtype
    limit = largest_finite(dtype)
    largest_input = max((window.value(i, "max") for i in inputs), default=float("nan"))
    magnitude = window.largest_magnitude(inputs)
    n_zero = sum(int(window.value(i, "n_zero")) for i in inputs)
    if magnitude > np.sqrt(limit):
        return (
            f"its input reaches {magnitude:.3g}, so that products leave the range of {dtype} "
            f"(up to {limit:.3g})"
        )
    if window.value(series, "n_posinf") and largest_input > np.log(limit):
        return (
            f"its input reaches {largest_input:.4g}, and exp overflows {dtype} above "
            f"{np.log(limit):.4g}"
        )
    if n_zero and window.value(series, "n_neginf"):
        return f"its input has {_zeros(n_zero)}, and log(0) is -Inf"
    if n_zero:
        return f"its input has {_zeros(n_zero)}: a division by zero or a logarithm of zero"
    return f"a result beyond the range of {dtype} (up to {limit:.3g}), or a division by zero"


def _undefined_hint(window: Window, series: int, inputs: Sequence[int]) -> str:
    """What fits; not the sign of an input, where the layer took such inputs without harm before.

    Zeros it may have taken one by one, and now they are all that a row holds.
    """
    smallest = min((window.value(i, "min") for i in inputs), default=float("nan"))
    n_zero = sum(int(window.value(i, "n_zero")) for i in inputs)
    largest = max((window.value(i, "max") for i in inputs), default=float("nan"))
    dtype = window.header.series[series].dtype
    guesses = []
    if largest > np.log(largest_finite(dtype)):
        guesses.append(
            f"its input reaches {largest:.4g}, exp overflows {dtype} above "
            f"{np.log(largest_finite(dtype)):.4g}, and Inf / Inf is NaN"
        )
    if smallest < 0 and not window.was_finite_below(0.0, series, inputs):
        guesses.append(
            f"its input goes down to {smallest:.4g}: a square root, logarithm or power of a "
            "negative number"
        )
    if n_zero:
        guesses.append(f"its input has {_zeros(n_zero)}: 0/0 or 0 times an infinity")
    return "; or ".join(guesses) or "0/0, Inf - Inf or an argument outside of a function's domain"


def _zeros(count: int) -> str:
    return "1 element that is exactly 0" if count == 1 else f"{count} elements that are exactly 0"
