"""Stand-ins for the data of the known programs: their shapes and ranges, and a signal to learn.

Inputs are normal fields pushed through the quantiles of a beta distribution with the stated
range, mean and standard deviation (two values where that is what they were). The signal is what
the program was about where that is known (exclusive or, squares, an average, the game of life),
else a class or a target that depends on the inputs nonlinearly.
"""

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .program import Goal
from .tasks import Data

Array = NDArray[Any]
Facts = Mapping[str, Any]


def stand_in(task: Mapping[str, Any]) -> Data:
    """The data of a known program, the same for the same facts."""
    x, y, n, signal = task["x"], task["y"], task["n"], task["signal"]
    random = np.random.default_rng(zlib.crc32(signal.encode()) + len(x["shape"]))
    if signal in _EXPLICIT:
        data: Data = _EXPLICIT[signal](x, y, n, random)
        return data
    if signal == "auto":
        signal = "classes" if _is_classes(y) else "labels" if _is_binary(y) else "smooth"
    match signal:
        case "constant":
            return Data(*_constant(x, y, n, random), Goal.CLASSES)
        case "classes":
            return _classes(x, y, n, random)
        case "labels":
            return _labels(x, y, n, random)
        case _:
            return _smooth(x, y, n, random)


def spread(z: Array, facts: Facts) -> Array:
    """Standard normal values as values with the stated range, mean and standard deviation."""
    low, high, mean, std = (float(facts[key]) for key in ("min", "max", "mean", "std"))
    if high <= low:
        return np.full(z.shape, low)
    share = min(max((mean - low) / (high - low), 1e-3), 1 - 1e-3)
    variance = min(max((std / (high - low)) ** 2, 1e-6), share * (1 - share))
    rank = stats.norm.cdf(z)
    if variance > 0.98 * share * (1 - share):
        return np.where(rank > 1 - share, high, low)
    weight = share * (1 - share) / variance - 1
    quantile = stats.beta.ppf(rank, share * weight, (1 - share) * weight)
    result: Array = low + (high - low) * quantile
    return result


def _as(x: Array, facts: Facts, n: int) -> Array:
    x = x.reshape(n, *facts["shape"][1:])
    if facts["dtype"] in ("uint8", "int64", "int32"):
        x = np.round(x)
    result: Array = x.astype(np.float32)
    return result


def _is_binary(y: Facts) -> bool:
    return (y["min"], y["max"]) == (0, 1) and y["std"] ** 2 > 0.98 * y["mean"] * (1 - y["mean"])


def _is_one_hot(y: Facts) -> bool:
    columns = y["shape"][-1] if len(y["shape"]) == 2 else 1
    return columns > 1 and _is_binary(y) and abs(y["mean"] * columns - 1) < 0.01


def _is_classes(y: Facts) -> bool:
    return _is_one_hot(y) or (_is_binary(y) and y.get("n_distinct") == 2)


def _field(shape: list[int], n: int, centre: Array, noise: float, random: Any) -> Array:
    """A normal field around one centre per sample; images vary smoothly."""
    z = noise * random.normal(size=(n, *shape)) + centre
    result: Array = z / np.sqrt(noise**2 + 1)
    return result


def _centres(count: int, shape: list[int], random: Any) -> Array:
    """One pattern per class; in images, blocks an eighth as wide as the image."""
    if len(shape) < 3 or shape[0] < 8:
        result: Array = random.normal(size=(count, *shape))
        return result
    coarse = random.normal(size=(count, 8, 8, shape[2]))
    fine = coarse.repeat(-(-shape[0] // 8), axis=1).repeat(-(-shape[1] // 8), axis=2)
    return np.asarray(fine[:, : shape[0], : shape[1]])


def _class_numbers(y: Facts, n: int, random: Any) -> Array:
    if _is_one_hot(y):
        return np.asarray(random.permutation(np.arange(n) % y["shape"][1]))
    n_classes = y.get("n_distinct") or 2
    if n_classes == 2:
        return np.asarray(random.permutation((np.arange(n) < round(y["mean"] * n)) * 1))
    return np.asarray(random.permutation(np.arange(n) % n_classes))


def _classes(x: Facts, y: Facts, n: int, random: Any) -> Data:
    """Each class is two clusters."""
    classes = _class_numbers(y, n, random)
    shape = x["shape"][1:]
    centres = _centres(2 * (int(classes.max()) + 1), shape, random)
    # Few inputs leave little room: the clusters stand farther apart.
    noise = 0.5 if np.prod(shape) <= 16 else 1.0
    place = 2 * classes + (random.integers(2, size=n) if np.prod(shape) > 2 else 0)
    if np.prod(shape) == 1:
        centres = np.linspace(-1.5, 1.5, len(centres))[:, None]
    z = _field(shape, n, centres[place], noise, random)
    values = classes * (y["max"] / max(classes.max(), 1)) if y["max"] > 0 else classes
    coded: Array = (
        np.eye(y["shape"][1])[classes] if _is_one_hot(y) else values.reshape(n, *y["shape"][1:])
    )
    return Data(_as(spread(z, x), x, n), coded.astype(np.float32), classes, Goal.CLASSES)


def _labels(x: Facts, y: Facts, n: int, random: Any) -> Data:
    """Labels that do not exclude one another, each a nonlinear cut through the inputs."""
    z = random.normal(size=(n, *x["shape"][1:]))
    flat = z.reshape(n, -1)
    columns = int(np.prod(y["shape"][1:]))
    hidden = np.tanh(flat @ random.normal(size=(flat.shape[1], 12)))
    score = hidden @ random.normal(size=(12, columns))
    truth = (score > np.quantile(score, 1 - y["mean"], axis=0)) * 1
    truth = truth.reshape(n, *y["shape"][1:])
    return Data(_as(spread(z, x), x, n), truth.astype(np.float32), truth, Goal.LABELS)


def _smooth(x: Facts, y: Facts, n: int, random: Any) -> Data:
    """Targets of the stated range that follow a few hidden causes of the inputs."""
    shape = x["shape"][1:]
    width = int(np.prod(shape))
    cause = random.normal(size=(n, min(width, 4)))
    flat = cause if width <= 4 else cause @ random.normal(size=(4, width)) / 2
    flat = flat + (0 if width <= 4 else 0.3) * random.normal(size=(n, width))
    columns = int(np.prod(y["shape"][1:])) if len(y["shape"]) > 1 else 1
    score = np.tanh(cause @ random.normal(size=(cause.shape[1], 8))) @ random.normal(
        size=(8, columns)
    )
    score = (score - score.mean(axis=0)) / score.std(axis=0)
    truth = spread(score, y).reshape(n, *(y["shape"][1:] or [1])).astype(np.float32)
    return Data(_as(spread(flat, x), x, n), truth, truth, Goal.VALUES)


def _constant(x: Facts, y: Facts, n: int, random: Any) -> tuple[Array, Array, Array]:
    z = random.normal(size=(n, *x["shape"][1:]))
    y_values = np.full((n, 1), y["min"], np.float32)
    return _as(spread(z, x), x, n), y_values, y_values.astype(np.int64)


# ---- signals that are known -------------------------------------------------------------------


def _xor(x: Facts, y: Facts, n: int, random: Any) -> Data:
    inputs = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    truth = inputs.sum(axis=1) % 2
    return Data(inputs, truth[:, None], truth.astype(np.int64), Goal.CLASSES)


def _power(exponent: int, offset: float) -> Any:
    def make(x: Facts, y: Facts, n: int, random: Any) -> Data:
        line = np.linspace(x["min"], x["max"], n)[:, None]
        raw = np.abs(line if x["min"] < -3 else line - x["min"]) ** exponent
        low, high = y["min"], y["max"]
        truth = low + (high - low) * raw / raw.max() + offset
        order = random.permutation(n)
        truth, line = truth[order].astype(np.float32), line[order].astype(np.float32)
        return Data(line, truth, truth, Goal.VALUES)

    return make


def _mean_of_inputs(x: Facts, y: Facts, n: int, random: Any) -> Data:
    inputs = random.uniform(x["min"], x["max"], (n, x["shape"][1])).astype(np.float32)
    truth = inputs.mean(axis=1, keepdims=True)
    return Data(inputs, truth, truth, Goal.VALUES)


def _game_of_life(x: Facts, y: Facts, n: int, random: Any) -> Data:
    board = random.integers(2, size=(n, 5, 5))
    inner = board[:, 1:4, 1:4]
    around = sum(
        board[:, 1 + i : 4 + i, 1 + j : 4 + j] for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j
    )
    truth = (((around == 3) | ((around == 2) & (inner == 1))) * 1)[..., None]
    return Data(board[..., None].astype(np.float32), truth.astype(np.float32), truth, Goal.LABELS)


def _copy(x: Facts, y: Facts, n: int, random: Any) -> Data:
    bits = (np.arange(n)[:, None] >> np.arange(x["shape"][1])) & 1
    return Data(bits.astype(np.float32), bits.astype(np.float32), bits, Goal.LABELS)


def _shuffled_copy(x: Facts, y: Facts, n: int, random: Any) -> Data:
    data = _copy(x, y, n, random)
    order = random.permutation(n)
    return Data(data.x, data.y[order], data.truth[order], data.goal)


def _restoration(x: Facts, y: Facts, n: int, random: Any) -> Data:
    """Images, to be restored from ones that lost their detail."""
    shape = y["shape"][1:]
    sharp = spread(_field(shape, n, _centres(n, shape, random), 0.5, random), y)
    blurred = sharp.reshape(n, shape[0] // 2, 2, shape[1] // 2, 2, -1).mean(axis=(2, 4))
    inputs = blurred.repeat(2, axis=1).repeat(2, axis=2).astype(np.float32)
    truth = sharp.astype(np.float32)
    return Data(inputs, truth, truth, Goal.VALUES)


_EXPLICIT: dict[str, Any] = {
    "xor": _xor,
    "square": _power(2, 0.0),
    "fourth_power": _power(4, 0.0),
    "mean_of_inputs": _mean_of_inputs,
    "game_of_life": _game_of_life,
    "copy": _copy,
    "shuffled_copy": _shuffled_copy,
    "restoration": _restoration,
}
