"""A number over the whole run, in a bounded number of buckets that merge associatively.

Bucket ``i`` covers the iterations ``i * width`` to ``(i + 1) * width - 1``. The width is the
smallest power of two with which the run fits, so it depends on the iterations seen and not on
how they were cut into chunks.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

MAX_BUCKETS = 128

Values = NDArray[np.float64]
T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Curve:
    """Sums of the finite values per bucket; ``first`` is the index of the first bucket."""

    width: int
    first: int
    n: NDArray[np.int64]
    total: Values
    total_squares: Values

    @property
    def n_values(self) -> int:
        """Finite values seen."""
        return int(self.n.sum())


@dataclass(frozen=True)
class Stretch:
    """Mean of a part of a curve and the standard error of that mean."""

    n: int
    mean: float
    standard_error: float


EMPTY = Curve(1, 0, np.zeros(0, np.int64), np.zeros(0), np.zeros(0))


def gather_curve(iteration: NDArray[np.int64], values: Values) -> Curve:
    """The curve of one chunk; both arrays of shape (rows,)."""
    finite = np.isfinite(values)
    bucket, kept = iteration[finite], values[finite]
    if not len(bucket):
        return EMPTY
    width = 1
    while bucket.max() // width - bucket.min() // width >= MAX_BUCKETS:
        width *= 2
    first = int(bucket.min() // width)
    place = bucket // width - first
    size = int(place.max()) + 1
    with np.errstate(over="ignore"):
        squares = kept * kept
    return Curve(
        width=width,
        first=first,
        n=np.bincount(place, minlength=size).astype(np.int64),
        total=np.bincount(place, kept, size).astype(np.float64),
        total_squares=np.bincount(place, squares, size).astype(np.float64),
    )


def merge_curves(a: Curve, b: Curve) -> Curve:
    """The curve of two chunks."""
    if not a.n_values or not b.n_values:
        return a if a.n_values else b
    width = max(a.width, b.width)
    a, b = _widened(a, width), _widened(b, width)
    first = min(a.first, b.first)
    size = max(a.first + len(a.n), b.first + len(b.n)) - first
    merged = Curve(
        width=width,
        first=first,
        n=_placed(a.n, a.first - first, size) + _placed(b.n, b.first - first, size),
        total=_placed(a.total, a.first - first, size) + _placed(b.total, b.first - first, size),
        total_squares=_placed(a.total_squares, a.first - first, size)
        + _placed(b.total_squares, b.first - first, size),
    )
    while len(merged.n) > MAX_BUCKETS:
        merged = _widened(merged, merged.width * 2)
    return merged


def head(curve: Curve, share: float) -> Stretch:
    """The first buckets that hold at least a share of the values."""
    return _stretch(curve, slice(None), share)


def tail(curve: Curve, share: float) -> Stretch:
    """The last buckets that hold at least a share of the values."""
    return _stretch(curve, slice(None, None, -1), share)


def _stretch(curve: Curve, order: slice, share: float) -> Stretch:
    n = curve.n[order]
    needed = int(np.searchsorted(np.cumsum(n), share * curve.n_values)) + 1
    count = int(n[:needed].sum())
    if not count:
        return Stretch(0, float("nan"), float("nan"))
    mean = float(curve.total[order][:needed].sum()) / count
    square = float(curve.total_squares[order][:needed].sum()) / count
    variance = max(square - mean * mean, 0.0)
    return Stretch(count, mean, float(np.sqrt(variance / count)))


def _widened(curve: Curve, width: int) -> Curve:
    if curve.width == width:
        return curve
    factor = width // curve.width
    place = (curve.first + np.arange(len(curve.n))) // factor
    first = int(place[0])
    starts = np.flatnonzero(np.diff(place, prepend=-1))
    return Curve(
        width=width,
        first=first,
        n=np.add.reduceat(curve.n, starts),
        total=np.add.reduceat(curve.total, starts),
        total_squares=np.add.reduceat(curve.total_squares, starts),
    )


def _placed(values: NDArray[T], offset: int, size: int) -> NDArray[T]:
    placed = np.zeros(size, values.dtype)
    placed[offset : offset + len(values)] = values
    return placed
