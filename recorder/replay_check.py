"""Whether a replay repeated its step: tensor by tensor, bit by bit."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensor = NDArray[Any]


def n_differing(replayed: Sequence[Tensor], true: Sequence[Tensor]) -> NDArray[np.int64]:
    """In how many elements each tensor differs from the step's own; shape (tensors,).

    A NaN equals any NaN, since which one an operation gives is left to the hardware; zeros of
    different sign differ. All elements differ where the shapes do.
    """
    pairs = zip(replayed, true, strict=True)
    return np.array([_n_differing(np.asarray(a), np.asarray(b)) for a, b in pairs], np.int64)


def _n_differing(a: Tensor, b: Tensor) -> int:
    if a.shape != b.shape or a.dtype != b.dtype:
        return max(a.size, b.size, 1)
    differ = _bits(a) != _bits(b)
    if differ.any() and a.dtype.kind not in "iub":
        are_nan = np.isnan(a.reshape(-1)) & np.isnan(b.reshape(-1))
        differ &= ~np.repeat(are_nan, len(differ) // max(a.size, 1))
    return int(differ.sum())


def _bits(values: Tensor) -> NDArray[Any]:
    """The elements as unsigned integers, in C order."""
    contiguous = np.ascontiguousarray(values).reshape(-1)
    size = contiguous.dtype.itemsize
    return contiguous.view(f"u{size}" if size <= 8 else "u8")
