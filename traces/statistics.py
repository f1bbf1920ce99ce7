"""From an array to one row of statistics: the definition, in plain NumPy.

The recorder's compiled kernel computes the same numbers in one pass; this module is what both
mean and what its tests compare with.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .schema import STATISTICS

Row = dict[str, int | float]


def statistics_row(values: NDArray[Any], has_units: bool = False) -> Row:
    """Every statistics column of one tensor.

    Parameters
    ----------
    values
        Any shape, any real or boolean dtype.
    has_units
        Also count units: slices along all axes but the last, for tensors whose first axis is
        the batch. -1 for tensors with fewer than two axes. A unit is constant where its bits
        are the same throughout (or it is 0 of either sign throughout).

    Returns
    -------
    Row
        ``min`` to ``rms`` are over the finite values, in float64, and NaN without any.
        Counts are exact. The checksum is `checksum` of the raw bits.
    """
    x = _widened(np.asarray(values))
    finite_mask = np.isfinite(x)
    finite = x[finite_mask].astype(np.float64, copy=False)
    row: Row = {
        "n": x.size,
        "n_nan": int(np.count_nonzero(np.isnan(x))),
        "n_posinf": int(np.count_nonzero(np.isposinf(x))) if x.dtype.kind == "f" else 0,
        "n_neginf": int(np.count_nonzero(np.isneginf(x))) if x.dtype.kind == "f" else 0,
        "n_zero": int(np.count_nonzero(x == 0)),
        "n_zero_units": -1,
        "n_constant_units": -1,
        "min": float(finite.min()) if finite.size else float("nan"),
        "max": float(finite.max()) if finite.size else float("nan"),
        "mean": float(finite.mean()) if finite.size else float("nan"),
        "mean_abs": float(np.abs(finite).mean()) if finite.size else float("nan"),
        "rms": _rms(finite),
        "checksum": checksum(x),
    }
    if has_units and x.ndim >= 2 and x.size:
        units = x.reshape(-1, x.shape[-1])
        bits = units.view(np.dtype(f"u{units.dtype.itemsize}"))
        is_zero = (units == 0).all(axis=0)
        row["n_zero_units"] = int(is_zero.sum())
        row["n_constant_units"] = int((is_zero | (bits == bits[0]).all(axis=0)).sum())
    assert row.keys() == {column.name for column in STATISTICS}
    return row


def checksum(values: NDArray[Any]) -> int:
    """A 64-bit checksum of the raw bits that does not depend on the order of the elements.

    Elements are widened by value (floats below 32 bits to float32, integers and booleans to
    int64) and their bits cut into unsigned 32-bit words ``w``. The low half is the sum of ``w``,
    the high half the sum of ``w * w``, each modulo ``2**32``: cheap enough for every tensor of
    every step, and equal for two runs only where the tensors are equal bit for bit up to order,
    or differ in three elements or more in a conspiring way.
    """
    words = np.ascontiguousarray(_widened(values)).ravel().view(np.uint32)
    low = int(np.add.reduce(words, dtype=np.uint32))
    high = int(np.add.reduce(words * words, dtype=np.uint32))
    return high << 32 | low


def _widened(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype == np.float64 or values.dtype == np.float32:
        return values
    return values.astype(np.int64 if values.dtype.kind in "iub" else np.float32)


def _rms(finite: NDArray[np.float64]) -> float:
    """Root mean square, scaled so that squares of huge or tiny values do not over- or underflow."""
    if not finite.size:
        return float("nan")
    largest = float(np.abs(finite).max())
    if not largest:
        return 0.0
    return largest * float(np.sqrt(np.mean(np.square(finite / largest))))
