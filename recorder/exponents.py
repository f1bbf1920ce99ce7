"""Histograms of tensors over the powers of two, in one compiled pass of its own.

Not part of ``kernel.py``: scattered counting costs several times what statistics do, so that it
runs only where it was asked for.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplocalize.traces.histogram import Histogram

from .compiled import compiled
from .kernel import widened

_FIRST = -1073  # of the smallest subnormal float64
_N_EXPONENTS = 1024 - _FIRST + 1
_BLOCK = 1024
_ZERO, _NAN, _POSINF, _NEGINF = range(4)


@compiled()
def _count(x, counts, others):  # type: ignore[no-untyped-def]  # numba infers
    # As float64 every float32 is normal; its exponent stands in 11 bits.
    values = np.empty(_BLOCK, np.float64)
    bits = values.view(np.int64)
    for start in range(0, x.size, _BLOCK):
        n = min(_BLOCK, x.size - start)
        for i in range(n):
            values[i] = x[start + i]
        for i in range(n):
            sign = 1 if bits[i] >= 0 else 0
            field = (bits[i] >> 52) & 0x7FF
            if field == 0x7FF:
                if values[i] != values[i]:
                    others[_NAN] += 1
                else:
                    others[_POSINF if sign else _NEGINF] += 1
            elif field:
                counts[sign, field - 1022 - _FIRST] += 1
            elif values[i] == 0.0:
                others[_ZERO] += 1
            else:
                counts[sign, math.frexp(values[i])[1] - _FIRST] += 1


def histogram_of(iteration: int, series: int, values: NDArray[Any]) -> Histogram:
    """The histogram of a tensor of any real dtype, integers as the nearest float64."""
    counts = np.zeros((2, _N_EXPONENTS), np.int64)
    others = np.zeros(4, np.int64)
    _count(np.ascontiguousarray(widened(values)).reshape(-1), counts, others)
    (held,) = np.nonzero(counts.any(axis=0))
    first, last = (int(held[0]), int(held[-1]) + 1) if held.size else (-_FIRST, -_FIRST)
    return Histogram(
        iteration,
        series,
        _FIRST + first,
        tuple(counts[0, first:last].tolist()),
        tuple(counts[1, first:last].tolist()),
        *others.tolist(),
    )


def histograms_of(
    iteration: int,
    series: Sequence[int],
    tensors: Sequence[NDArray[Any]],
    minus: Sequence[NDArray[Any] | None],
) -> list[Histogram]:
    """One histogram per tensor, of the difference where there is something to subtract."""
    return [
        histogram_of(iteration, index, x if before is None else x - before)
        for index, x, before in zip(series, tensors, minus, strict=True)
    ]
