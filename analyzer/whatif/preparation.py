"""The recorded samples made ready for one replay: split, and changed as its setup wants."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .answers import Yardstick
from .obstacle import ObstacleError
from .recipe import Samples, Setup

HELD_BACK_SHARE = 0.25

# Fewer held-back samples than this tell nothing: then a replay is judged by what it trains on.
MIN_HELD_BACK = 16


@dataclass(frozen=True, eq=False)
class Scale:
    """Mean and standard deviation, per feature of the last axis."""

    mean: NDArray[Any]
    std: NDArray[Any]

    def applied(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values of mean 0 and variance 1."""
        if self is UNSCALED:
            return values
        return np.asarray((values - self.mean) / self.std, np.float32)

    def undone(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values in the scale that `applied` took them from."""
        return values if self is UNSCALED else np.asarray(values * self.std + self.mean)


UNSCALED = Scale(np.zeros(()), np.ones(()))


@dataclass(frozen=True, eq=False)
class Task:
    """What to train on, what to answer to (with the recorded labels), and the answers' scale."""

    training: Samples
    judged: Samples
    target_scale: Scale


def task_of(setup: Setup, samples: Samples, yardstick: Yardstick, seed: int) -> Task:
    """The samples of one replay. What is learned from them is learned from the training part.

    Raises
    ------
    ObstacleError
        No sample is finite; or classes are to be numbered, and the labels are none.
    """
    training, judged = split(samples, seed)
    judged = judged.at(np.flatnonzero(judged.is_finite))
    if setup.drops_nonfinite:
        training = training.at(np.flatnonzero(training.is_finite))
    if not len(training) or not len(judged):
        raise ObstacleError("no recorded sample is finite")
    x_scale = _scale(training.x) if setup.scales_inputs else UNSCALED
    y_scale = _scale(training.y) if setup.scales_targets else UNSCALED
    y = y_scale.applied(training.y)
    if setup.indexes_classes:
        if not yardstick.classes:
            raise ObstacleError("the labels are values, not classes")
        y = np.searchsorted(np.array(yardstick.classes), y).astype(training.y.dtype)
    return Task(
        replace(training, x=x_scale.applied(training.x), y=y),
        replace(judged, x=x_scale.applied(judged.x)),
        y_scale,
    )


def split(samples: Samples, seed: int) -> tuple[Samples, Samples]:
    """Samples to train on and to judge by; the same ones where they are too few."""
    n_judged = int(HELD_BACK_SHARE * len(samples))
    if n_judged < MIN_HELD_BACK:
        return samples, samples
    order = np.random.default_rng(seed).permutation(len(samples))
    return samples.at(order[n_judged:]), samples.at(order[:n_judged])


def _scale(values: NDArray[Any]) -> Scale:
    axes = tuple(range(values.ndim - 1)) if values.ndim > 1 else None
    finite = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    std = np.nanstd(finite, axis=axes)
    mean = np.asarray(np.nanmean(finite, axis=axes))
    return Scale(mean, np.where(std > 0, std, 1.0))
