"""What the features of an input or target look like, each by itself: the columns of its last axis.

Moments of a whole tensor hide a column in another unit, and one that never changes. Looked at is
a bounded part of each batch, and what is kept is bounded by the number of features.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplocalize.traces.header import FeatureSummary

MAX_FEATURES = 1 << 14
"""More features than this are not told apart."""

MAX_ELEMENTS = 1 << 18
"""Elements of a batch that are looked at; samples beyond them are left out."""

MAX_NAMED = 8
"""Constant features that are named; all are counted."""


class FeatureSummarizer:
    """Sums up the columns of one input or target; images and volumes have none worth telling."""

    def __init__(self) -> None:
        self._n_rows = 0
        self._n: NDArray[np.int64] | None = None

    def add(self, values: NDArray[Any]) -> None:
        """Add a batch, of shape (samples, features) or (samples, steps, features)."""
        if values.ndim not in (2, 3) or not 1 < values.shape[-1] <= MAX_FEATURES:
            return
        rows = values.reshape(-1, values.shape[-1])
        rows = np.asarray(rows[: MAX_ELEMENTS // rows.shape[1]], np.float64)
        is_finite = np.isfinite(rows)
        if self._n is None:
            self._n = np.zeros(rows.shape[1], np.int64)
            # Moments around a value of each column, so that large offsets cost no digits.
            self._pivot = np.where(is_finite[0], rows[0], 0.0)
            self._sum, self._squares = np.zeros((2, rows.shape[1]))
            self._min, self._max = np.full((2, rows.shape[1]), [[np.inf], [-np.inf]])
        if rows.shape[1] != len(self._n):
            return
        self._n_rows += len(rows)
        self._n += is_finite.sum(axis=0)
        with np.errstate(all="ignore"):
            centred = np.where(is_finite, rows - self._pivot, 0.0)
            self._sum += centred.sum(axis=0)
            self._squares += np.square(centred).sum(axis=0)
        self._min = np.minimum(self._min, np.where(is_finite, rows, np.inf).min(axis=0))
        self._max = np.maximum(self._max, np.where(is_finite, rows, -np.inf).max(axis=0))

    def summary(self) -> FeatureSummary | None:
        """The summary of what was added so far; None without features to tell apart."""
        if self._n is None or not self._n.all():
            return None
        is_constant = self._min == self._max
        with np.errstate(all="ignore"):
            offset = self._sum / self._n
            variance = np.where(is_constant, 0.0, self._squares / self._n - offset**2)
            rms = np.sqrt((self._pivot + offset) ** 2 + np.maximum(variance, 0.0))
        varying = np.flatnonzero(~is_constant)
        ranked = varying[np.argsort(rms[varying], kind="stable")].tolist()
        return FeatureSummary(
            n=len(self._n),
            n_rows=self._n_rows,
            n_constant=int(is_constant.sum()),
            constant=tuple(np.flatnonzero(is_constant)[:MAX_NAMED].tolist()),
            mean_variance=float(np.maximum(variance, 0.0).mean()),
            largest=ranked[-1] if ranked else None,
            median_rms=float(np.median(rms[ranked])) if ranked else None,
            largest_rms=float(rms[ranked[-1]]) if ranked else None,
        )
