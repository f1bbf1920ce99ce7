"""Losses: one number for a batch, and its gradient by what the network returned.

Values and gradients are those of Keras on TensorFlow: the mean over everything but the last
axis of a loss per sample, each times its sample weight; probabilities are clipped to
[epsilon, 1 - epsilon] and pass no gradient where they were clipped.

When the network ends in softmax or sigmoid, Keras takes a cross-entropy from what that
activation received (`fused`): stable, and with the gradient (softmax(z) - y), (sigmoid(z) - y).
"""

# NumPy types what its ufuncs and reductions return as Any.
# mypy: disable-error-code="no-any-return"

from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from .activations import SIGMOID, SOFTMAX
from .arrays import Array
from .choices import choose

EPSILON = 1e-7
"""Keras's ``backend.epsilon()``."""


@dataclass(frozen=True)
class Loss:
    """A loss: subclasses say what it is per sample (`values`) and its derivative (`slopes`)."""

    name: ClassVar[str]

    def __call__(self, y: Array, p: Array, sample_weight: Array | None = None) -> float:
        """Weighted mean over the batch; NaN and Inf pass through.

        Raises
        ------
        ValueError
            Labels or weights do not fit what the network returned.
        """
        values = self.values(self.labels(y, p), p)
        if sample_weight is not None:
            values = values * _weights(sample_weight, values)
        return float(values.sum() / values.size)

    def gradient(self, y: Array, p: Array, sample_weight: Array | None = None) -> Array:
        """dL/dp, of the shape and dtype of p. Raises as the loss itself does."""
        slopes = self.slopes(self.labels(y, p), p)
        n = p.size // p.shape[-1]
        if sample_weight is None:
            return slopes / n
        return slopes * (_weights(sample_weight, p[..., 0]) / n)[..., None]

    def labels(self, y: Array, p: Array) -> Array:
        """Labels as numbers of p's dtype and shape; a missing last axis of length 1 is added.

        Raises
        ------
        ValueError
            The shapes do not fit.
        """
        if y.ndim == p.ndim - 1 and p.shape[-1] == 1:
            y = y[..., None]
        if y.shape != p.shape:
            raise ValueError(
                f"loss {self.name}: wants labels of the network's output shape {p.shape}, "
                f"found {y.shape}; {self.remedy(y, p)}"
            )
        return y.astype(p.dtype, copy=False)

    def remedy(self, y: Array, p: Array) -> str:
        """What to do about labels of the wrong shape."""
        return "change the number of outputs of the last layer, or the labels"

    def fused(self, activation: str | None) -> Self | None:
        """The same loss of what the last activation received; None if Keras does not do so."""
        return None

    def values(self, y: Array, p: Array) -> Array:
        """Loss per sample: one axis less than p."""
        raise NotImplementedError

    def slopes(self, y: Array, p: Array) -> Array:
        """Derivative of each sample's loss by its row of p."""
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """Name and arguments; `loss_named` makes the loss again from them."""
        return {"name": self.name, **asdict(self)}


@dataclass(frozen=True)
class _CrossEntropy(Loss):
    from_logits: bool = False

    def fused(self, activation: str | None) -> Self | None:
        # Keras looks only whether logits were kept, and both activations keep them: sigmoid
        # under categorical cross-entropy is taken for a softmax, too, and the other way round.
        if activation not in (SOFTMAX.name, SIGMOID.name):
            return None
        return replace(self, from_logits=True)


@dataclass(frozen=True)
class CategoricalCrossentropy(_CrossEntropy):
    """- sum of y log p over the classes, for one-hot labels y."""

    name: ClassVar[str] = "categorical_crossentropy"

    def remedy(self, y: Array, p: Array) -> str:
        """One-hot labels, or the sparse loss."""
        if y.ndim == p.ndim - 1 or y.shape[-1] == 1:
            return "one-hot encode them, or use sparse_categorical_crossentropy"
        return super().remedy(y, p)

    def values(self, y: Array, p: Array) -> Array:
        """From logits: sum of y (log sum exp z - z)."""
        if self.from_logits:
            return -(y * _log_softmax(p)).sum(axis=-1)
        return -(y * np.log(_clipped(p / p.sum(axis=-1, keepdims=True)))).sum(axis=-1)

    def slopes(self, y: Array, p: Array) -> Array:
        """From logits softmax(z) - y, which is exact for labels that sum to 1 (as TensorFlow).

        From probabilities with q = p / sum p: (g - sum of g q) / sum p, where g = -y / q.
        """
        if self.from_logits:
            return SOFTMAX.forward(p) - y
        total = p.sum(axis=-1, keepdims=True)
        q = p / total
        g = np.where(_is_inside(q), -y / _clipped(q), 0)
        return (g - (g * q).sum(axis=-1, keepdims=True)) / total


@dataclass(frozen=True)
class SparseCategoricalCrossentropy(_CrossEntropy):
    """The same for labels that are class numbers."""

    name: ClassVar[str] = "sparse_categorical_crossentropy"

    def labels(self, y: Array, p: Array) -> Array:
        """Class numbers (int) with one axis less than p."""
        if y.ndim == p.ndim and y.shape[-1] == 1:
            y = y[..., 0]
        if y.shape != p.shape[:-1]:
            raise ValueError(
                f"loss {self.name}: wants class numbers of shape {p.shape[:-1]}, found labels of "
                f"shape {y.shape}; for one-hot labels use categorical_crossentropy"
            )
        numbers = y.astype(np.intp)
        if numbers.size and not (numbers.min() >= 0 and numbers.max() < p.shape[-1]):
            raise ValueError(
                f"loss {self.name}: wants class numbers from 0 to {p.shape[-1] - 1} (the network "
                f"has {p.shape[-1]} outputs), found {y.min()} to {y.max()}; renumber the labels or "
                "add outputs to the last layer"
            )
        return numbers

    def values(self, y: Array, p: Array) -> Array:
        """From probabilities, their logarithms are taken as logits (as Keras)."""
        z = p if self.from_logits else np.log(_clipped(p))
        return -np.take_along_axis(_log_softmax(z), y[..., None], axis=-1)[..., 0]

    def slopes(self, y: Array, p: Array) -> Array:
        """softmax(z) - one-hot(y), from probabilities times dz/dp = 1 / p."""
        slopes = SOFTMAX.forward(p if self.from_logits else np.log(_clipped(p)))
        index = y[..., None]
        at_label = np.take_along_axis(slopes, index, axis=-1)
        np.put_along_axis(slopes, index, at_label - 1, axis=-1)
        return slopes if self.from_logits else np.where(_is_inside(p), slopes / _clipped(p), 0)


@dataclass(frozen=True)
class BinaryCrossentropy(_CrossEntropy):
    """Mean over the outputs of - y log p - (1 - y) log(1 - p)."""

    name: ClassVar[str] = "binary_crossentropy"

    def values(self, y: Array, p: Array) -> Array:
        """From logits: max(z, 0) - z y + log(1 + exp(-|z|))."""
        if self.from_logits:
            return (np.maximum(p, 0) - p * y + np.log1p(np.exp(-np.abs(p)))).mean(axis=-1)
        q = _clipped(p)
        return -(y * np.log(q) + (1 - y) * np.log(1 - q)).mean(axis=-1)

    def slopes(self, y: Array, p: Array) -> Array:
        """From logits: sigmoid(z) - y; from probabilities: (1 - y) / (1 - p) - y / p."""
        if self.from_logits:
            return (SIGMOID.forward(p) - y) / p.shape[-1]
        q = _clipped(p)
        return np.where(_is_inside(p), ((1 - y) / (1 - q) - y / q) / p.shape[-1], 0)


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """Mean over the outputs of (p - y)^2."""

    name: ClassVar[str] = "mean_squared_error"

    def values(self, y: Array, p: Array) -> Array:
        """Mean square."""
        return np.square(p - y).mean(axis=-1)

    def slopes(self, y: Array, p: Array) -> Array:
        """2 (p - y)."""
        return 2 * (p - y) / p.shape[-1]


@dataclass(frozen=True)
class MeanAbsoluteError(Loss):
    """Mean over the outputs of |p - y|."""

    name: ClassVar[str] = "mean_absolute_error"

    def values(self, y: Array, p: Array) -> Array:
        """Mean magnitude."""
        return np.abs(p - y).mean(axis=-1)

    def slopes(self, y: Array, p: Array) -> Array:
        """Sign of p - y; 0 where they are equal."""
        return np.sign(p - y) / p.shape[-1]


@dataclass(frozen=True)
class Huber(Loss):
    """Half the square of p - y up to ``delta``, beyond it a line (mean over the outputs)."""

    name: ClassVar[str] = "huber"

    delta: float = 1.0

    def values(self, y: Array, p: Array) -> Array:
        """e^2 / 2 where |e| <= delta, else delta |e| - delta^2 / 2 (Huber 1964)."""
        size = np.abs(p - y)
        beyond = self.delta * size - 0.5 * self.delta**2
        return np.where(size <= self.delta, 0.5 * np.square(size), beyond).mean(axis=-1)

    def slopes(self, y: Array, p: Array) -> Array:
        """e, limited to +-delta."""
        return np.clip(p - y, -self.delta, self.delta) / p.shape[-1]


def loss_named(loss: str | Loss, **arguments: Any) -> Loss:
    """The loss of Keras's name (or short name), or the one given.

    Raises
    ------
    ValueError
        The name is unknown.
    """
    return loss if isinstance(loss, Loss) else choose("loss", loss, _LOSSES)(**arguments)


def _weights(sample_weight: Array, values: Array) -> Array:
    """Sample weights as numbers that multiply the per-sample values."""
    if len(sample_weight) != len(values) or sample_weight.size not in (len(values), values.size):
        raise ValueError(
            f"sample_weight: wants shape ({len(values)},) or {values.shape}, "
            f"found {sample_weight.shape}; give one weight per sample"
        )
    shape = values.shape if sample_weight.size == values.size else (-1,) + (1,) * (values.ndim - 1)
    return sample_weight.reshape(shape).astype(values.dtype, copy=False)


def _log_softmax(z: Array) -> Array:
    shifted = z - z.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _clipped(p: Array) -> Array:
    return np.clip(p, EPSILON, 1 - EPSILON)


def _is_inside(p: Array) -> Array:
    # Negated, so that a NaN counts as inside and passes on.
    return ~((p < EPSILON) | (p > 1 - EPSILON))


_LOSSES: dict[str, type[Loss]] = {
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "binary_crossentropy": BinaryCrossentropy,
    "bce": BinaryCrossentropy,
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
    "mae": MeanAbsoluteError,
    "huber": Huber,
}
