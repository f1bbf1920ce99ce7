"""How good a model's answers are, on a scale that does not depend on its loss.

Skill is 0 for answers that need no learning and 1 for perfect ones. For classes it is the balanced
accuracy between chance and 1, for labels its mean over the labels, for values the share of the
variance explained (R²), in the labels' own scale; worse than 0 counts as 0, and so do answers that
are not finite.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# More distinct integers than this are counts or sizes, not classes, unless the loss says so.
MAX_CLASSES = 20


class Measure(StrEnum):
    """What skill is measured by."""

    CLASSES = "balanced accuracy above chance"
    LABELS = "balanced accuracy above chance, mean over the labels"
    VALUES = "share of the labels' variance explained (R²)"


@dataclass(frozen=True)
class Yardstick:
    """How answers are judged. ``classes`` are the distinct labels; empty unless they count."""

    measure: Measure
    classes: tuple[float, ...] = ()


def yardstick_of(y: Array, losses: Sequence[str]) -> Yardstick:
    """The measure that fits the labels.

    Parameters
    ----------
    y
        Labels as recorded, of all samples.
    losses
        Names of every loss that is to be compared: one over classes makes integers classes.
    """
    values = np.unique(y[np.isfinite(y)].astype(np.float64))
    is_integer = bool(np.all(values == np.round(values)))
    is_over_classes = any("categorical_crossentropy" in name for name in losses)
    if "sparse_categorical_crossentropy" in losses and is_integer and not is_one_hot(y):
        return Yardstick(Measure.CLASSES, tuple(values.tolist()))
    if y.ndim > 1 and y.shape[-1] > 1:
        if is_one_hot(y):
            return Yardstick(Measure.CLASSES, tuple(range(y.shape[-1])))
        is_binary = bool(np.isin(values, (0, 1)).all())
        return Yardstick(Measure.LABELS if is_binary else Measure.VALUES)
    if is_integer and (len(values) == 2 or (is_over_classes and len(values) <= MAX_CLASSES)):
        return Yardstick(Measure.CLASSES, tuple(values.tolist()))
    return Yardstick(Measure.VALUES)


def is_one_hot(y: Array) -> bool:
    """Whether every label is one 1 among zeros, along the last axis of length 2 or more."""
    if y.ndim < 2 or y.shape[-1] < 2:
        return False
    return bool(np.isin(y, (0, 1)).all() and (y.sum(axis=-1) == 1).all())


def skill(yardstick: Yardstick, y: Array, outputs: Array, is_index: bool, is_logit: bool) -> float:
    """Skill of a model's outputs for labels.

    Parameters
    ----------
    outputs
        In the labels' own scale, if they are values.
    is_index
        Whether outputs are about the labels' places among the classes, not the labels themselves.
    is_logit
        Whether single outputs are logits.
    """
    if not len(y) or not np.isfinite(outputs).all():
        return 0.0
    outputs = outputs.astype(np.float64)
    if yardstick.measure is Measure.VALUES:
        return _explained(y.astype(np.float64), outputs)
    if is_logit:
        outputs = 1 / (1 + np.exp(-np.clip(outputs, -500, 500)))
    if yardstick.measure is Measure.LABELS:
        return _labels(y, outputs)
    classes = np.array(yardstick.classes)
    truth = y.argmax(axis=-1) if is_one_hot(y) else y.astype(np.float64)
    if is_one_hot(y) or is_index:
        known = np.arange(len(classes), dtype=np.float64)
        truth = truth if is_one_hot(y) else np.searchsorted(classes, truth)
    else:
        known = classes
    if outputs.ndim > 1 and outputs.shape[-1] > 1:
        answers = outputs.argmax(axis=-1).astype(np.float64)
    else:
        answers = known[np.abs(outputs.reshape(-1, 1) - known).argmin(axis=1)]
    return _above_chance(truth.ravel(), answers.ravel())


def _explained(y: Array, outputs: Array) -> float:
    if y.size != outputs.size:
        return 0.0
    columns = y.shape[-1] if y.ndim > 1 else 1
    truth, answers = y.reshape(-1, columns), outputs.reshape(-1, columns)
    variance = float(np.mean((truth - truth.mean(axis=0)) ** 2))
    error = float(np.mean((truth - answers) ** 2))
    return max(0.0, 1 - error / variance) if variance > 0 else 0.0


def _labels(y: Array, outputs: Array) -> float:
    if y.size != outputs.size:
        return 0.0
    truth = y.reshape(-1, y.shape[-1])
    answers = (outputs > 0.5).reshape(truth.shape)
    return float(np.mean([_above_chance(t, a) for t, a in zip(truth.T, answers.T, strict=True)]))


def _above_chance(truth: Array, answers: Array) -> float:
    """Balanced accuracy, from chance (0) to perfect (1)."""
    present = np.unique(truth)
    if truth.size != answers.size or len(present) < 2:
        return 0.0
    recall = float(np.mean([np.mean(answers[truth == one] == one) for one in present]))
    chance = 1 / len(present)
    return max(0.0, (recall - chance) / (1 - chance))
