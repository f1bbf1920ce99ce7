"""The level that needs no learning: what always predicting the same would reach.

From the header alone: the name of the loss and the summary of the labels.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from deeplocalize.traces.header import DataSummary, Header
from deeplocalize.traces.schema import Kind


def trivial_loss(header: Header) -> float | None:
    """Loss of the best constant prediction, or None where it cannot be known.

    Cross-entropies: the entropy of the class shares, in nats. Mean squared error: the variance
    of the targets; mean absolute error: 0.8 standard deviations (exact for a normal
    distribution). None for several outputs, custom losses and unseen labels.
    """
    labels = _only_labels(header)
    if labels is None:
        return None
    match loss_name(header.loss):
        case "categorical_crossentropy" | "sparse_categorical_crossentropy":
            return _entropy(_shares(labels))
        case "binary_crossentropy":
            return None if labels.mean is None else _entropy((labels.mean, 1 - labels.mean))
        case "mean_squared_error" | "mse":
            return _variance(labels)
        case "mean_absolute_error" | "mae":
            return None if labels.std is None else 0.8 * labels.std
        case _:
            return None


def base_rate(header: Header) -> float | None:
    """Share of the most frequent class, or None where accuracies do not compare with it.

    They do for class numbers, for one-hot rows, and for one column of 0 and 1, with which Keras
    compares rounded outputs.
    """
    labels = _only_labels(header)
    if labels is None:
        return None
    is_sparse = loss_name(header.loss) == "sparse_categorical_crossentropy"
    n_columns = int(labels.shape[-1] or 1) if len(labels.shape) > 1 else 1
    is_binary = n_columns == 1 and (labels.min, labels.max) == (0, 1)
    shares = _shares(labels) if is_sparse or labels.is_one_hot or is_binary else ()
    return max(shares) if shares else None


def loss_name(loss: Any) -> str | None:
    """The snake-case name of a loss as headers hold it: a string, or a serialised object.

    Lists and mappings of a single loss count as that loss; several give None.
    """
    if isinstance(loss, str):
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", loss.rsplit(".", 1)[-1]).lower()
    if isinstance(loss, Mapping):
        named = loss.get("class_name") or loss.get("name")
        if isinstance(named, str) and named not in ("function", "LossFunctionWrapper"):
            return loss_name(named)
        inner = loss.get("config") if "class_name" in loss else None
        if inner is not None:
            return loss_name(inner)
        return loss_name(next(iter(loss.values()))) if len(loss) == 1 else None
    if isinstance(loss, Sequence) and len(loss) == 1:
        return loss_name(loss[0])
    return None


def _only_labels(header: Header) -> DataSummary | None:
    labels = [summary for summary in header.data if summary.role is Kind.LABEL]
    return labels[0] if len(labels) == 1 else None


def _variance(labels: DataSummary) -> float | None:
    """Around the mean of each column, where columns are told apart."""
    features = labels.features
    if features is not None and features.mean_variance is not None:
        return features.mean_variance
    return None if labels.std is None else labels.std**2


def _shares(labels: DataSummary) -> tuple[float, ...]:
    total = sum(labels.class_counts.values())
    return tuple(count / total for count in labels.class_counts.values()) if total else ()


def _entropy(shares: Sequence[float]) -> float | None:
    if not shares or not all(0 <= share <= 1 for share in shares):
        return None
    return -sum(share * math.log(share) for share in shares if share > 0)
