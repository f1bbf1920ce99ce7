"""What inputs and targets look like, summed up batch by batch.

Ranges and moments come from the statistics that are taken anyway; what needs the values
themselves (integers only? one-hot? which classes?) is looked at for a bounded number of batches.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplocalize.traces.header import DataSummary
from deeplocalize.traces.schema import NONFINITE, Kind

from .feature_summary import FeatureSummarizer
from .kernel import COLUMNS

MAX_DISTINCT = 1000
"""More distinct values than this are not told apart: the target is no class label."""

MAX_INPUT_BATCHES = 16
"""Inputs are large, and a few batches show whether they are all integers."""

MAX_LABEL_BATCHES = 2000

_WAITING_BYTES = 1 << 20
# Batches wait for others: looking at many at once costs hardly more than at one.
_WAITING_BATCHES = 512

_COLUMN = {name: k for k, name in enumerate(COLUMNS)}


class DataSummarizer:
    """Sums up one input or target.

    Parameters
    ----------
    role
        `Kind.INPUT`, `Kind.LABEL` or `Kind.SAMPLE_WEIGHT`.
    """

    def __init__(self, role: Kind, name: str, shape: tuple[int | None, ...], dtype: str) -> None:
        self._summary = DataSummary(role, name, shape, dtype)
        self._features = FeatureSummarizer()
        self._n_batches_seen = 0
        self._n_samples = 0
        self._n_finite = 0
        self._n_nonfinite = 0
        self._sum = 0.0
        self._sum_of_squares = 0.0
        self._min = float("inf")
        self._max = float("-inf")
        self._is_integer_valued = True
        self._is_one_hot = role is Kind.LABEL
        self._class_counts: dict[float, int] | None = {}
        self._rows: list[NDArray[np.int64]] = []
        self._batches: list[NDArray[Any]] = []
        self._waiting_bytes = 0

    def add(self, values: NDArray[Any], row: NDArray[np.int64]) -> None:
        """Add a batch: its values, and its row of statistics as `StepKernel` fills it."""
        self._n_samples += values.shape[0] if values.ndim else 1
        self._rows.append(row)
        limit = MAX_LABEL_BATCHES if self._summary.role is Kind.LABEL else MAX_INPUT_BATCHES
        if self._n_batches_seen < limit:
            self._batches.append(values.copy())
            self._waiting_bytes += values.nbytes
        self._n_batches_seen += 1
        if self._waiting_bytes > _WAITING_BYTES or len(self._rows) >= _WAITING_BATCHES:
            self._take_waiting()

    def _take_waiting(self) -> None:
        rows, batches = self._rows, self._batches
        self._rows, self._batches, self._waiting_bytes = [], [], 0
        if rows:
            self._add_moments(np.stack(rows))
        for values in _joined(batches):
            self._add_values(values)
            self._features.add(values)

    def _add_moments(self, rows: NDArray[np.int64]) -> None:
        n_nonfinite = rows[:, [_COLUMN[c] for c in NONFINITE]].sum(axis=1)
        n_finite = rows[:, _COLUMN["n"]] - n_nonfinite
        self._n_nonfinite += int(n_nonfinite.sum())
        n_finite, values = n_finite[n_finite > 0], rows.view(np.float64)[n_finite > 0]
        if n_finite.size:
            self._n_finite += int(n_finite.sum())
            self._sum += float(n_finite @ values[:, _COLUMN["mean"]])
            self._sum_of_squares += float(n_finite @ values[:, _COLUMN["rms"]] ** 2)
            self._min = min(self._min, float(values[:, _COLUMN["min"]].min()))
            self._max = max(self._max, float(values[:, _COLUMN["max"]].max()))

    def _add_values(self, values: NDArray[Any]) -> None:
        if not self._n_finite or not (self._is_integer_valued or self._is_one_hot):
            return
        x = np.asarray(values, np.float64)
        x = x.reshape(x.shape[0], -1) if x.ndim > 1 else x
        if self._is_integer_valued and not np.array_equal(x, np.round(x), equal_nan=True):
            self._is_integer_valued = False
        self._is_one_hot = self._is_one_hot and _is_one_hot(x)
        if self._summary.role is Kind.LABEL and self._is_integer_valued:
            self._count_classes(x)

    def _count_classes(self, x: NDArray[np.float64]) -> None:
        if self._class_counts is None:
            return
        classes = x.argmax(axis=1) if self._is_one_hot else x[np.isfinite(x)]
        for value, n in zip(*np.unique(classes, return_counts=True), strict=True):
            self._class_counts[float(value)] = self._class_counts.get(float(value), 0) + int(n)
        if len(self._class_counts) > MAX_DISTINCT:
            self._class_counts = None

    def summary(self) -> DataSummary:
        """The summary of what was added so far."""
        self._take_waiting()
        if not self._n_finite:
            return replace(self._summary, n_samples=self._n_samples, n_nonfinite=self._n_nonfinite)
        mean = self._sum / self._n_finite
        variance = max(self._sum_of_squares / self._n_finite - mean**2, 0.0)
        counts = self._class_counts if self._is_integer_valued else None
        is_label = self._summary.role is Kind.LABEL
        return replace(
            self._summary,
            n_samples=self._n_samples,
            min=self._min,
            max=self._max,
            mean=mean,
            std=variance**0.5,
            n_nonfinite=self._n_nonfinite,
            is_integer_valued=self._is_integer_valued,
            is_one_hot=self._is_one_hot if is_label else None,
            n_distinct=len(counts) if counts and is_label else None,
            features=self._features.summary(),
            class_counts={f"{value:g}": n for value, n in sorted((counts or {}).items())},
        )


def _joined(batches: Sequence[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """The batches in their order, neighbours of equal shape as one."""
    for shape, group in groupby(batches, lambda batch: batch.shape[1:] if batch.ndim else None):
        alike = list(group)
        yield np.concatenate(alike) if shape is not None else np.stack(alike)


def _is_one_hot(x: NDArray[np.float64]) -> bool:
    """Rows of at least two columns, a single 1 in each, 0 elsewhere."""
    if x.ndim != 2 or x.shape[1] < 2:
        return False
    return bool(((x == 0) | (x == 1)).all() and (x.sum(axis=1) == 1).all())
