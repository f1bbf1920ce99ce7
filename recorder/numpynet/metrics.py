"""Metrics: one number per sample, of which training reports the mean."""

# NumPy types what its ufuncs and reductions return as Any.
# mypy: disable-error-code="no-any-return"

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .arrays import Array, Shape
from .choices import choose

Measure = Callable[[Array, Array], Array]


def measure_named(name: str, labels_shape: Shape, output_shape: Shape) -> Measure:
    """The function (labels, outputs) -> one number per sample, of Keras's name.

    ``accuracy`` is chosen by the shapes (batch axis included), as Keras does: binary for one
    output, sparse where labels have no axis of classes, else categorical.

    Raises
    ------
    ValueError
        The name is unknown.
    """
    if name in ("accuracy", "acc"):
        if output_shape[-1] == 1:
            return binary_accuracy
        if len(labels_shape) < len(output_shape) or labels_shape[-1] == 1:
            return sparse_categorical_accuracy
        return categorical_accuracy
    return choose("metric", name, _MEASURES)


def check_metric(name: str) -> None:
    """Nothing for a known name, else ValueError."""
    if name not in ("accuracy", "acc"):
        choose("metric", name, _MEASURES)


def categorical_accuracy(y: Array, p: Array) -> Array:
    """Whether the largest output is that of the one-hot label."""
    return np.equal(y.argmax(axis=-1), p.argmax(axis=-1))


def sparse_categorical_accuracy(y: Array, p: Array) -> Array:
    """Whether the largest output is that of the label's class number."""
    numbers = y[..., 0] if y.ndim == p.ndim else y
    return np.equal(numbers, p.argmax(axis=-1))


def binary_accuracy(y: Array, p: Array) -> Array:
    """The part of the outputs that are on the label's side of 0.5."""
    return np.equal(_like(y, p), p > 0.5).mean(axis=-1)


def mean_absolute_error(y: Array, p: Array) -> Array:
    """Mean magnitude of p - y over the outputs."""
    return np.abs(p - _like(y, p)).mean(axis=-1)


def mean_squared_error(y: Array, p: Array) -> Array:
    """Mean square of p - y over the outputs."""
    return np.square(p - _like(y, p)).mean(axis=-1)


@dataclass
class Mean:
    """A mean over the batches of an epoch, weighted by their numbers of samples."""

    total: float = 0.0
    n: int = 0

    def add(self, value: float, n: int) -> None:
        """Count a mean over n samples."""
        self.total += value * n
        self.n += n

    @property
    def value(self) -> float:
        """The mean so far; 0 before the first sample, as Keras reports it."""
        return self.total / self.n if self.n else 0.0


class Averages:
    """The loss and the named metrics over the batches of an epoch."""

    def __init__(self, metrics: Sequence[str]) -> None:
        self._metrics = metrics
        self._means = {name: Mean() for name in ("loss", *metrics)}
        self._measures: dict[str, Measure] = {}

    def add(self, loss: float, y: Array, p: Array) -> None:
        """Count a batch with labels y for which the network returned p."""
        self._means["loss"].add(loss, len(p))
        for name in self._metrics:
            if name not in self._measures:
                self._measures[name] = measure_named(name, y.shape, p.shape)
            values = self._measures[name](y, p)
            self._means[name].add(float(values.mean()), values.size)

    @property
    def logs(self) -> dict[str, float]:
        """The means so far, loss first."""
        return {name: mean.value for name, mean in self._means.items()}


def _like(y: Array, p: Array) -> Array:
    return y[..., None] if y.ndim == p.ndim - 1 else y


_MEASURES: dict[str, Measure] = {
    "categorical_accuracy": categorical_accuracy,
    "sparse_categorical_accuracy": sparse_categorical_accuracy,
    "binary_accuracy": binary_accuracy,
    "mean_absolute_error": mean_absolute_error,
    "mae": mean_absolute_error,
    "mean_squared_error": mean_squared_error,
    "mse": mean_squared_error,
}
