"""The levels of a loss: what always predicting the same reaches, and what no model can beat.

From the header alone: the loss and the summary of the labels.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from deeplocalize.traces.header import DataSummary, Header
from deeplocalize.traces.schema import Kind

from ..loss import Loss, loss_of
from .pointwise import Pointwise, Values, pointwise

# Quantiles that stand for a distribution of which only moments are known.
N_QUANTILES = 101

# Share of chance in counts above which too little is left to be learned to tell it from chance:
# chosen, so that a tenth of the variance is left.
MAX_NOISE = 0.9

# Share of the trivial level below which perfection is 0 but for rounding.
ROUNDING = 1e-6

# Constants tried between the smallest and the largest target.
N_CONSTANTS = 401


@dataclass(frozen=True)
class Levels:
    """Loss of the best constant prediction, and of perfect ones."""

    trivial: float
    perfect: float = 0.0

    @property
    def span(self) -> float:
        """How far they are apart."""
        return self.trivial - self.perfect

    def share_left(self, loss: float) -> float:
        """How much of the way a loss has left: 1 at the trivial level, 0 at perfection."""
        return (loss - self.perfect) / self.span


def levels_of(header: Header) -> Levels | None:
    """The levels of the loss, or None where they cannot be known.

    They follow from the definition of the loss and from how often each label occurs. Of targets
    that were not counted only moments are known: they are taken for normal, or, where none is
    negative, for log-normal, as quantities mostly are.

    None for several outputs, custom losses, unseen labels, and where samples weigh differently or
    padding is masked: labels do not tell then what the loss averages over.
    """
    labels, loss = only_labels(header), loss_of(header.loss)
    if labels is None or not loss.is_mean or _is_weighted(header) or _is_masked(header, labels):
        return None
    levels = _of_classes(loss, labels) or _of_elements(loss, labels)
    if levels is None or levels.trivial <= levels.perfect:
        return None
    is_rounding = abs(levels.perfect) < ROUNDING * abs(levels.trivial)
    return Levels(levels.trivial) if is_rounding else levels


def accuracy_levels(header: Header) -> Levels | None:
    """The share of the most frequent class, and 1; None where accuracies do not compare with it.

    They do for class numbers, for one-hot rows, and for one column of 0 and 1, with which Keras
    compares rounded outputs; not where samples weigh differently, or padding is masked.
    """
    labels = only_labels(header)
    if labels is None or _is_weighted(header) or _is_masked(header, labels):
        return None
    is_sparse = loss_of(header.loss).name == "sparse_categorical_crossentropy"
    is_binary = _n_columns(labels) == 1 and (labels.min, labels.max) == (0, 1)
    shares = _shares(labels) if is_sparse or labels.is_one_hot or is_binary else ()
    return Levels(max(shares), 1.0) if shares and max(shares) < 1 else None


def only_labels(header: Header) -> DataSummary | None:
    """The summary of the only target; None without one, or of several."""
    labels = [summary for summary in header.data if summary.role is Kind.LABEL]
    return labels[0] if len(labels) == 1 else None


def _is_weighted(header: Header) -> bool:
    weights = [summary for summary in header.data if summary.role is Kind.SAMPLE_WEIGHT]
    return any(summary.min != summary.max or summary.min != 1 for summary in weights)


def _is_masked(header: Header, labels: DataSummary) -> bool:
    has_steps = len(labels.shape) > 1 and labels.shape[1] != 1
    return has_steps and any(
        layer.class_name == "Masking" or layer.config.get("mask_zero") for layer in header.layers
    )


def _of_classes(loss: Loss, labels: DataSummary) -> Levels | None:
    """Of losses that look at a whole row of outputs."""
    is_sparse = loss.name == "sparse_categorical_crossentropy"
    shares = _shares(labels) if is_sparse or labels.is_one_hot else ()
    match loss.name:
        case "binary_crossentropy":
            return _of_probabilities(labels, loss.setting("label_smoothing", 0.0))
        case "categorical_crossentropy" if shares:
            return _of_smoothed(shares, _n_columns(labels), loss.setting("label_smoothing", 0.0))
        case "sparse_categorical_crossentropy" | "kl_divergence" if shares:
            return Levels(_entropy(shares))
        case "categorical_hinge" if shares:
            return Levels(min(1.0, 2 * (1 - max(shares))))
        case "cosine_similarity" if shares:
            return Levels(-math.hypot(*shares), -1.0)
        case _:
            return None


def _of_smoothed(shares: Sequence[float], n_classes: int, smoothing: float) -> Levels:
    """Cross-entropy of one-hot rows that are mixed with the uniform distribution."""
    even = smoothing / n_classes
    absent = [0.0] * (n_classes - len(shares))
    trivial = _entropy([(1 - smoothing) * share + even for share in (*shares, *absent)])
    return Levels(trivial, _entropy([1 - smoothing + even] + [even] * (n_classes - 1)))


def _of_probabilities(labels: DataSummary, smoothing: float) -> Levels | None:
    """Binary cross-entropy of labels from 0 to 1.

    Its perfection is the labels' own entropy, at least ``4 ln 2 y (1 - y)`` each.
    """
    if labels.mean is None or labels.min is None or labels.max is None:
        return None
    if not 0 <= labels.min <= labels.max <= 1:
        return None
    mean = (1 - smoothing) * labels.mean + smoothing / 2
    variance = ((1 - smoothing) * (labels.std or 0.0)) ** 2
    spread = max(mean - mean**2 - variance, 0.0)
    return Levels(_entropy((mean, 1 - mean)), 4 * math.log(2) * spread)


def _of_elements(loss: Loss, labels: DataSummary) -> Levels | None:
    """Of losses that compare outputs with targets one by one."""
    function, std = pointwise(loss), _std(labels)
    if function is None:
        return None
    if labels.is_one_hot and labels.class_counts:
        shares = (*_shares(labels), *[0.0] * (_n_columns(labels) - len(labels.class_counts)))
        columns = [_of_values(function, *_two(loss, share)) for share in shares]
        return Levels(*(float(np.mean(levels)) for levels in zip(*columns, strict=True)))
    if loss.name == "mean_squared_error" and std is not None:
        return Levels(std**2)
    counts = labels.class_counts if _n_columns(labels) == 1 else {}
    if set(counts) == {"0", "1"}:
        return Levels(*_of_values(function, *_two(loss, _shares(labels)[1])))
    if counts:
        levels = Levels(*_of_values(function, _numbers(counts), np.array(_shares(labels))))
        return _of_counts(levels, labels) if loss.name == "poisson" else levels
    if loss.name == "mean_absolute_percentage_error" and not (labels.min or 0.0) > 0:
        return None  # near 0 the moments say nothing about percentages
    if labels.mean is None or std is None:
        return None
    values = _quantiles(labels, labels.mean, std)
    return Levels(*_of_values(function, values, np.full(len(values), 1 / len(values))))


def _of_counts(levels: Levels, labels: DataSummary) -> Levels | None:
    """Counts scatter around their own rate by its root: nobody predicts that share of variance."""
    variance = (labels.std or 0.0) ** 2
    noise = (labels.mean or 0.0) / variance if variance else 1.0
    if noise > MAX_NOISE:
        return None
    return Levels(levels.trivial, levels.perfect + noise * levels.span)


def _of_values(function: Pointwise, values: Values, shares: Values) -> tuple[float, float]:
    """The trivial and the perfect level of targets that have these values so often."""
    constants = np.linspace(values.min(), values.max(), N_CONSTANTS)
    own = values[np.linspace(0, len(values) - 1, min(len(values), N_CONSTANTS)).astype(int)]
    tried = np.concatenate((constants, own, [values @ shares]))
    with np.errstate(all="ignore"):
        means = function(values[None, :], tried[:, None]) @ shares
        perfect = function(values, values) @ shares
    return float(np.fmin.reduce(means)), float(perfect)


def _two(loss: Loss, share: float) -> tuple[Values, Values]:
    """Both values of a binary target, as the loss takes them, and how often each occurs."""
    low = -1.0 if loss.name in ("hinge", "squared_hinge") else 0.0
    return np.array([low, 1.0]), np.array([1.0 - share, share])


def _numbers(counts: Mapping[str, int]) -> Values:
    return np.array([float(name) for name in counts])


def _quantiles(labels: DataSummary, mean: float, std: float) -> Values:
    """Targets of these moments: log-normal where none is negative, else normal."""
    places = (np.arange(N_QUANTILES) + 0.5) / N_QUANTILES
    normal = np.array([NormalDist().inv_cdf(place) for place in places])
    normal /= math.sqrt(float(np.mean(normal**2)))
    if labels.min is None or labels.max is None or labels.min < 0:
        return mean + std * normal
    width = math.sqrt(math.log1p((std / (1 + mean)) ** 2))
    return np.clip((1 + mean) * np.exp(width * normal - width**2 / 2) - 1, 0.0, labels.max)


def _std(labels: DataSummary) -> float | None:
    """Around the mean of each column, where columns are told apart."""
    features = labels.features
    if features is not None and features.mean_variance is not None:
        return math.sqrt(features.mean_variance)
    return labels.std


def _n_columns(labels: DataSummary) -> int:
    return int(labels.shape[-1] or 1) if len(labels.shape) > 1 else 1


def _shares(labels: DataSummary) -> tuple[float, ...]:
    total = sum(labels.class_counts.values())
    return tuple(count / total for count in labels.class_counts.values()) if total else ()


def _entropy(shares: Sequence[float]) -> float:
    return -sum(share * math.log(share) for share in shares if share > 0)
