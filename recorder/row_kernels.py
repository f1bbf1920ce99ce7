"""The compiled code behind ``kernel.py``: one row of statistics for each tensor of a step.

Float32 tensors are read in blocks of 2048 elements (``float32_loops.py``). Blocks with a NaN or
Inf take a slower loop. What a weight was and what its update is are read together.
"""

import numba as nb
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .compiled import compiled
from .float32_loops import (
    INFINITY,
    all_units_vary,
    are_finite,
    bounds,
    finite_only,
    key,
    note_variation,
    sums_in_float32,
    sums_in_float64,
    zero_and_constant_units,
    zeros_and_checksum,
)

FLOAT32, FLOAT64, INT64 = 0, 1, 2
"""Element types that are read."""

BLOCK = 2048
"""Elements that are read at a time."""

ALONE = -1
"""In place of the row of what is subtracted: no other row is filled together with this one."""

READ_BESIDE = -2
"""The same of a row that is filled together with one of a difference, and not where its turn is."""

# Where an array's address of its data stands in the object: behind what every object has. NumPy's
# binary interface fixes it, and reading it there is ten times as fast as asking each array.
_DATA_OFFSET = object.__basicsize__
_U32 = np.uint32
# Between these magnitudes (as float32 bits, about 1e-10 and 1e17) sums of 2048 squares neither
# underflow nor overflow in float32.
_SMALLEST_SAFE = _U32(0x2F000000)
_LARGEST_SAFE = _U32(0x5D000000)


@intrinsic
def pointer(typing_context, address):  # type: ignore[no-untyped-def]  # numba's own protocol
    """An address as what `numba.carray` reads from."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(address), codegen


@compiled()
def _begin_row(row, values, size):  # type: ignore[no-untyped-def]
    """Let a row hold sums instead of means, and bounds as keys, while blocks are added to it."""
    row[:] = 0
    row[0] = size
    row[5] = -1
    row[6] = -1
    row[7] = 0x7FFFFFFF
    row[8] = -0x80000000
    values[9:12] = 0.0


@compiled()
def _add_block(x, u, row, values):  # type: ignore[no-untyped-def]
    """Add a block's float32 values, and their bits, to a row."""
    lowest_bits, highest_bits, magnitude = bounds(u)
    zeros, low, high = zeros_and_checksum(u)
    if magnitude >= INFINITY:
        t, a, q, lo, hi, nans, posinfs, neginfs = finite_only(x, u)
        row[1] += nans
        row[2] += posinfs
        row[3] += neginfs
    else:
        lo = key(lowest_bits)
        hi = key(highest_bits)
        if _SMALLEST_SAFE < magnitude < _LARGEST_SAFE and x.size <= BLOCK:
            t32, a32, q32 = sums_in_float32(x)
            t = np.float64(t32)
            a = np.float64(a32)
            q = np.float64(q32)
        else:
            t, a, q = sums_in_float64(x)
    row[4] += zeros
    row[7] = min(row[7], np.int64(lo))
    row[8] = max(row[8], np.int64(hi))
    values[9] += t
    values[10] += a
    values[11] += q
    words = np.uint64(row[12])
    low = _U32(low + _U32(words))
    high = _U32(high + _U32(words >> np.uint64(32)))
    row[12] = np.int64((np.uint64(high) << np.uint64(32)) | np.uint64(low))


@compiled()
def _end_row(row, values):  # type: ignore[no-untyped-def]
    """Make a row of what the blocks have added up to."""
    ends = np.empty(2, np.uint32)
    ends[0] = _U32(key(_U32(row[7])))
    ends[1] = _U32(key(_U32(row[8])))
    ends_as_float = ends.view(np.float32)
    n_finite = row[0] - row[1] - row[2] - row[3]
    if n_finite > 0:
        values[7] = np.float64(ends_as_float[0])
        values[8] = np.float64(ends_as_float[1])
        values[9] /= n_finite
        values[10] /= n_finite
        values[11] = np.sqrt(values[11] / n_finite)
    else:
        values[7:12] = np.nan


@compiled()
def _float32_row(address, size, n_units, row, values):  # type: ignore[no-untyped-def]
    x = nb.carray(pointer(address), (size,), np.float32)
    u = nb.carray(pointer(address), (size,), np.uint32)
    block = BLOCK
    if n_units > 0:
        block = min(max(1, BLOCK // n_units) * n_units, size)
    # One entry per element of a block, not per unit: the loop over them is long, hence fast.
    first = np.empty(block if n_units > 0 else 0, np.uint32)
    varied = np.zeros(first.size, np.uint32)
    for i in range(first.size):
        first[i] = u[i % n_units]
    _begin_row(row, values, size)
    notes_variation = n_units > 0
    n_noted = 0
    for start in range(0, size, block):
        end = min(start + block, size)
        _add_block(x[start:end], u[start:end], row, values)
        if notes_variation:
            note_variation(u[start:end], first, varied)
            n_noted += 1
            # After 1, 2, 4, ... blocks: most tensors show early that none of their units stands
            # still, and the rest of them is read without a further look at that.
            if n_noted & (n_noted - 1) == 0:
                notes_variation = not all_units_vary(varied, n_units)
    if n_units > 0:
        row[5], row[6] = zero_and_constant_units(first, varied, n_units)
    _end_row(row, values)


@compiled()
def _float32_difference_rows(  # type: ignore[no-untyped-def]
    address, minus, size, scratch, row, values, minus_row, minus_values
):
    """The row of a difference, and that of what is subtracted unless its row has no columns."""
    x = nb.carray(pointer(address), (size,), np.float32)
    before = nb.carray(pointer(minus), (size,), np.float32)
    before_bits = nb.carray(pointer(minus), (size,), np.uint32)
    scratch_bits = scratch.view(np.uint32)
    takes_both = minus_row.size > 0
    _begin_row(row, values, size)
    if takes_both:
        _begin_row(minus_row, minus_values, size)
    for start in range(0, size, BLOCK):
        end = min(start + BLOCK, size)
        after_block, before_block = x[start:end], before[start:end]
        for i in range(after_block.size):
            scratch[i] = after_block[i] - before_block[i]
        _add_block(scratch[: end - start], scratch_bits[: end - start], row, values)
        if takes_both:
            _add_block(before_block, before_bits[start:end], minus_row, minus_values)
    _end_row(row, values)
    if takes_both:
        _end_row(minus_row, minus_values)


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
    return nb.carray(pointer(np.uint64(array + _DATA_OFFSET)), (1,), np.uint64)[0]


@compiled()
def fill_row(code, address, size, n_units, row, values):  # type: ignore[no-untyped-def]
    """Fill a row from the data at an address; ``values`` are the row's own memory as float64."""
    if code == FLOAT32:
        _float32_row(address, size, n_units, row, values)
    elif code == FLOAT64:
        x64 = nb.carray(pointer(address), (size,), np.float64)
        w64 = nb.carray(pointer(address), (2 * size,), np.uint32)
        _wide_row(x64, w64, n_units, row, values)
    elif code == INT64:
        i64 = nb.carray(pointer(address), (size,), np.int64)
        v64 = nb.carray(pointer(address), (2 * size,), np.uint32)
        _wide_row(i64, v64, n_units, row, values)


@compiled()
def fill_difference_rows(address, minus, size, scratch, rows, k, k_minus):  # type: ignore[no-untyped-def]
    """Fill row ``k`` of a difference of float32 values, and that of what is subtracted.

    Read together, a weight and its update take two reads where they would take three.

    Parameters
    ----------
    scratch
        `BLOCK` elements to work in.
    rows
        (rows, columns), of which ``k_minus`` becomes that of the values at ``minus``, unless it is
        `ALONE`.
    """
    values = rows.view(np.float64)
    if k_minus >= 0:
        minus_row, minus_values = rows[k_minus], values[k_minus]
    else:
        minus_row, minus_values = rows[k, :0], values[k, :0]
    _float32_difference_rows(
        address, minus, size, scratch, rows[k], values[k], minus_row, minus_values
    )


@compiled()
def is_finite(code, address, size):  # type: ignore[no-untyped-def]
    """Whether there is neither NaN nor Inf at an address, in a fraction of `fill_row`'s time."""
    if code == FLOAT64:
        x64 = nb.carray(pointer(address), (size,), np.float64)
        total = 0.0
        for i in range(size):
            total += x64[i] * 0.0  # NaN for NaN and Inf
        return total == 0.0
    if code != FLOAT32:
        return True
    return are_finite(nb.carray(pointer(address), (size,), np.uint32))


@compiled()
def fill_rows(first, last, arrays, minus, beside, sizes, n_units, codes, out):  # type: ignore[no-untyped-def]
    """Fill rows ``first`` to ``last``; ``arrays`` and ``minus`` are addresses of array objects.

    ``beside``: for each row that of what is subtracted, which is filled with it; or `ALONE`, or
    `READ_BESIDE`.
    """
    values = out.view(np.float64)
    scratch = np.empty(BLOCK, np.float32)
    for k in range(first, last):
        address, before = _data_address(arrays[k]), _data_address(minus[k])
        if minus[k] != 0:
            fill_difference_rows(address, before, sizes[k], scratch, out, k, beside[k])
        elif beside[k] != READ_BESIDE:
            fill_row(codes[k], address, sizes[k], n_units[k], out[k], values[k])
