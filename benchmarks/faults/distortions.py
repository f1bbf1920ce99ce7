"""What is done to data so that they are not as a program expects: each changes one thing."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .program import Goal
from .tasks import Array, Data


def distorted(data: Data, distortions: Sequence[tuple[str, Any]]) -> Data:
    """The data with every distortion applied, in order: its name and its argument."""
    for name, argument in distortions:
        data = DISTORTIONS[name](data, argument)
    return data


def _with(data: Data, x: Array | None = None, y: Array | None = None) -> Data:
    return Data(data.x if x is None else x, data.y if y is None else y, data.truth, data.goal)


def _multiply_x(data: Data, factor: float) -> Data:
    return _with(data, x=data.x * np.float32(factor))


def _shift_x(data: Data, shift: float) -> Data:
    return _with(data, x=data.x + np.float32(shift))


def _one_large_feature(data: Data, factor: float) -> Data:
    """One feature in another unit, as an amount of money among ages."""
    x = data.x.copy()
    x[..., 0] = x[..., 0] * factor + 2 * factor
    return _with(data, x=x)


def _spoil_x(data: Data, value: str) -> Data:
    """One value in some rows is NaN or infinite."""
    x = data.x.astype(np.float32)
    x.reshape(len(x), -1)[:: max(1, len(x) // 5), 0] = float(value)
    return _with(data, x=x)


def _spoil_y(data: Data, value: str) -> Data:
    y = data.y.astype(np.float32)
    y.reshape(len(y), -1)[:: max(1, len(y) // 5), 0] = float(value)
    return _with(data, y=y)


def _multiply_y(data: Data, factor: float) -> Data:
    y = (data.y * factor).astype(np.float32)
    return Data(data.x, y, y if data.goal is Goal.VALUES else data.truth, data.goal)


def _shift_y(data: Data, shift: float) -> Data:
    return _with(data, y=data.y + np.asarray(shift, data.y.dtype))


def _signed_y(data: Data, _: None) -> Data:
    """Classes coded as -1 and 1."""
    return _with(data, y=data.y * 2 - 1)


def _shuffle_y(data: Data, seed: int) -> Data:
    order = np.random.default_rng(seed).permutation(len(data.y))
    return _with(data, y=data.y[order])


def _constant_x(data: Data, value: float) -> Data:
    """The inputs never arrived: every sample is the same."""
    return _with(data, x=np.full_like(data.x, value))


DISTORTIONS: dict[str, Callable[[Data, Any], Data]] = {
    "multiply_x": _multiply_x,
    "shift_x": _shift_x,
    "one_large_feature": _one_large_feature,
    "spoil_x": _spoil_x,
    "spoil_y": _spoil_y,
    "multiply_y": _multiply_y,
    "shift_y": _shift_y,
    "signed_y": _signed_y,
    "shuffle_y": _shuffle_y,
    "constant_x": _constant_x,
}
