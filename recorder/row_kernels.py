"""The compiled loops behind ``kernel.py``: one row of statistics for each tensor of a step.

Blocks of 2048 elements stay in the first-level cache while two loops run over them: one over the
bits (minimum, maximum and counts as integers, which vectorise where float minimum and maximum do
not) and one over the values (sums). Blocks with a NaN or Inf take a slower loop.
"""

import numba as nb
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .compiled import compiled

FLOAT32, FLOAT64, INT64 = 0, 1, 2
"""Element types that are read."""

_BLOCK = 2048
# No nnan and no ninf: the counts below exist because values may be just that.
_REORDER = {"nsz", "reassoc", "contract", "arcp"}
# Where an array's address of its data stands in the object: behind what every object has. NumPy's
# binary interface fixes it, and reading it there is ten times as fast as asking each array.
_DATA_OFFSET = object.__basicsize__
_U32 = np.uint32
_I32 = np.int32
_LOWEST = _I32(-0x80000000)
_HIGHEST = _I32(0x7FFFFFFF)
# Between these magnitudes (as float32 bits, about 1e-10 and 1e17) sums of 2048 squares neither
# underflow nor overflow in float32.
_SMALLEST_SAFE = _U32(0x2F000000)
_LARGEST_SAFE = _U32(0x5D000000)


@intrinsic
def _pointer(typing_context, address):  # type: ignore[no-untyped-def]  # numba's own protocol
    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(address), codegen


@compiled()
def _key(bits):  # type: ignore[no-untyped-def]  # numba infers
    """Float32 bits as an integer of the same order (its own inverse)."""
    k = _I32(bits)
    return _I32(k ^ _I32(_U32(_I32(k >> _I32(31))) >> _U32(1)))


@compiled(fastmath=_REORDER)
def _scan_bits(u):  # type: ignore[no-untyped-def]
    smallest = _HIGHEST
    largest = _LOWEST
    n_zero = _U32(0)
    magnitude = _U32(0)
    low = _U32(0)
    high = _U32(0)
    for i in range(u.size):
        bits = u[i]
        absolute = _U32(bits & _U32(0x7FFFFFFF))
        k = _I32(bits)
        k = _I32(k ^ _I32(_U32(_I32(k >> _I32(31))) >> _U32(1)))
        smallest = min(smallest, k)
        largest = max(largest, k)
        magnitude = max(magnitude, absolute)
        n_zero = _U32(n_zero + _U32(absolute == _U32(0)))
        low = _U32(low + bits)
        high = _U32(high + _U32(bits * bits))
    return smallest, largest, n_zero, magnitude, low, high


@compiled(fastmath=_REORDER)
def _sums_in_float32(x):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    absolute = np.float32(0)
    squares = np.float32(0)
    for i in range(x.size):
        v = x[i]
        total += v
        absolute += abs(v)
        squares += v * v
    return total, absolute, squares


@compiled(fastmath=_REORDER)
def _sums_in_float64(x):  # type: ignore[no-untyped-def]
    total = 0.0
    absolute = 0.0
    squares = 0.0
    for i in range(x.size):
        v = np.float64(x[i])
        total += v
        absolute += abs(v)
        squares += v * v
    return total, absolute, squares


@compiled()
def _finite_only(x, u):  # type: ignore[no-untyped-def]
    total = 0.0
    absolute = 0.0
    squares = 0.0
    smallest = _HIGHEST
    largest = _LOWEST
    n_nan = 0
    n_posinf = 0
    n_neginf = 0
    for i in range(u.size):
        bits = u[i]
        magnitude = _U32(bits & _U32(0x7FFFFFFF))
        if magnitude >= _U32(0x7F800000):
            if magnitude > _U32(0x7F800000):
                n_nan += 1
            elif bits >= _U32(0x80000000):
                n_neginf += 1
            else:
                n_posinf += 1
        else:
            v = np.float64(x[i])
            total += v
            absolute += abs(v)
            squares += v * v
            k = _key(bits)
            smallest = min(smallest, k)
            largest = max(largest, k)
    return total, absolute, squares, smallest, largest, n_nan, n_posinf, n_neginf


@compiled(fastmath=_REORDER)
def _note_variation(u, first, varied):  # type: ignore[no-untyped-def]
    """Set the bits in which a block, whole rows of units, differs from the first row."""
    for i in range(u.size):
        varied[i] |= _U32(u[i] ^ first[i])


@compiled(fastmath=_REORDER)
def _float32_row(address, minus, size, n_units, scratch, row, values):  # type: ignore[no-untyped-def]
    x = nb.carray(_pointer(address), (size,), np.float32)
    u = nb.carray(_pointer(address), (size,), np.uint32)
    before = x
    if minus != 0:
        before = nb.carray(_pointer(minus), (size,), np.float32)
    scratch_bits = scratch.view(np.uint32)
    block = _BLOCK
    if n_units > 0:
        block = min(max(1, _BLOCK // n_units) * n_units, size)
    # One entry per element of a block, not per unit: the loop over them is long, hence fast.
    first = np.empty(block if n_units > 0 else 0, np.uint32)
    varied = np.zeros(first.size, np.uint32)
    for i in range(first.size):
        first[i] = u[i % n_units]
    total = 0.0
    absolute = 0.0
    squares = 0.0
    smallest = _HIGHEST
    largest = _LOWEST
    n_zero = 0
    n_nan = 0
    n_posinf = 0
    n_neginf = 0
    low = _U32(0)
    high = _U32(0)
    start = 0
    while start < size:
        n = min(block, size - start)
        xb = x[start : start + n]
        ub = u[start : start + n]
        if minus != 0:
            bb = before[start : start + n]
            for i in range(n):
                scratch[i] = xb[i] - bb[i]
            xb = scratch[:n]
            ub = scratch_bits[:n]
        lo, hi, zeros, magnitude, low_b, high_b = _scan_bits(ub)
        if magnitude >= _U32(0x7F800000):
            t, a, q, lo, hi, nans, posinfs, neginfs = _finite_only(xb, ub)
            n_nan += nans
            n_posinf += posinfs
            n_neginf += neginfs
        elif _SMALLEST_SAFE < magnitude < _LARGEST_SAFE and n <= _BLOCK:
            t32, a32, q32 = _sums_in_float32(xb)
            t = np.float64(t32)
            a = np.float64(a32)
            q = np.float64(q32)
        else:
            t, a, q = _sums_in_float64(xb)
        if n_units > 0:
            _note_variation(ub, first, varied)
        total += t
        absolute += a
        squares += q
        smallest = min(smallest, lo)
        largest = max(largest, hi)
        n_zero += np.int64(zeros)
        low = _U32(low + low_b)
        high = _U32(high + high_b)
        start += n
    n_finite = size - n_nan - n_posinf - n_neginf
    bounds = np.empty(2, np.uint32)
    bounds[0] = _U32(_key(_U32(smallest)))
    bounds[1] = _U32(_key(_U32(largest)))
    bounds_as_float = bounds.view(np.float32)
    row[0] = size
    row[1] = n_nan
    row[2] = n_posinf
    row[3] = n_neginf
    row[4] = n_zero
    row[5] = -1
    row[6] = -1
    if n_units > 0:
        n_dead = 0
        n_constant = 0
        for j in range(n_units):
            variation = _U32(0)
            for i in range(j, varied.size, n_units):
                variation |= varied[i]
            # Zeros of either sign are zeros.
            dead = _U32((variation | first[j]) & _U32(0x7FFFFFFF)) == _U32(0)
            n_dead += dead
            n_constant += dead or variation == _U32(0)
        row[5] = n_dead
        row[6] = n_constant
    if n_finite > 0:
        values[7] = np.float64(bounds_as_float[0])
        values[8] = np.float64(bounds_as_float[1])
        values[9] = total / n_finite
        values[10] = absolute / n_finite
        values[11] = np.sqrt(squares / n_finite)
    else:
        values[7:12] = np.nan
    row[12] = np.int64((np.uint64(high) << np.uint64(32)) | np.uint64(low))


@compiled()
def _wide_row(x, words, n_units, row, values):  # type: ignore[no-untyped-def]
    """Float64 and integer tensors: rarer and smaller, one plain loop."""
    size = x.size
    smallest = np.inf
    largest = -np.inf
    total = 0.0
    absolute = 0.0
    squares = 0.0
    n_zero = 0
    n_nan = 0
    n_posinf = 0
    n_neginf = 0
    for i in range(size):
        v = np.float64(x[i])
        if np.isnan(v):
            n_nan += 1
        elif v == np.inf:
            n_posinf += 1
        elif v == -np.inf:
            n_neginf += 1
        else:
            n_zero += v == 0.0
            total += v
            absolute += abs(v)
            squares += v * v
            smallest = min(smallest, v)
            largest = max(largest, v)
    low = _U32(0)
    high = _U32(0)
    for i in range(words.size):
        w = _U32(words[i])
        low = _U32(low + w)
        high = _U32(high + _U32(w * w))
    row[0] = size
    row[1] = n_nan
    row[2] = n_posinf
    row[3] = n_neginf
    row[4] = n_zero
    row[5] = -1
    row[6] = -1
    if n_units > 0:
        n_dead = 0
        n_constant = 0
        for j in range(n_units):
            dead = True
            constant = True
            first = x[j]
            for i in range(j, size, n_units):
                dead &= x[i] == 0
                constant &= (x[i] == first) or (np.isnan(x[i]) and np.isnan(first))
            n_dead += dead
            n_constant += constant or dead
        row[5] = n_dead
        row[6] = n_constant
    n_finite = size - n_nan - n_posinf - n_neginf
    if n_finite > 0:
        values[7] = smallest
        values[8] = largest
        values[9] = total / n_finite
        values[10] = absolute / n_finite
        values[11] = np.sqrt(squares / n_finite)
    else:
        values[7:12] = np.nan
    row[12] = np.int64((np.uint64(high) << np.uint64(32)) | np.uint64(low))


@compiled()
def _data_address(array):  # type: ignore[no-untyped-def]
    """Of the data of an array, given its own address (0: no array)."""
    if array == 0:
        return np.uint64(0)
    return nb.carray(_pointer(np.uint64(array + _DATA_OFFSET)), (1,), np.uint64)[0]


@compiled()
def fill_rows(first, last, arrays, minus, sizes, n_units, codes, out):  # type: ignore[no-untyped-def]
    """Fill rows ``first`` to ``last``; ``arrays`` and ``minus`` are addresses of array objects."""
    values = out.view(np.float64)
    scratch = np.empty(_BLOCK, np.float32)
    for k in range(first, last):
        address = _data_address(arrays[k])
        if codes[k] == FLOAT32:
            before = _data_address(minus[k])
            _float32_row(address, before, sizes[k], n_units[k], scratch, out[k], values[k])
        elif codes[k] == FLOAT64:
            x64 = nb.carray(_pointer(address), (sizes[k],), np.float64)
            w64 = nb.carray(_pointer(address), (2 * sizes[k],), np.uint32)
            _wide_row(x64, w64, n_units[k], out[k], values[k])
        elif codes[k] == INT64:
            i64 = nb.carray(_pointer(address), (sizes[k],), np.int64)
            v64 = nb.carray(_pointer(address), (2 * sizes[k],), np.uint32)
            _wide_row(i64, v64, n_units[k], out[k], values[k])
