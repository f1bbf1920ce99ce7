"""The compiled inner loops over a block of float32 values, which is what nearly all tensors are of.

A block stays in the first-level cache while several short loops run over it: each of them keeps
few enough sums to be vectorised and unrolled, and together they take half the time of one loop.
"""

import numpy as np

from .compiled import compiled

REORDER = {"nsz", "reassoc", "contract", "arcp"}
"""What sums may be rearranged by. No nnan and no ninf: values may be just that."""

_U32 = np.uint32
_I32 = np.int32
INFINITY = _U32(0x7F800000)
_SIGN = _U32(0x80000000)
_MAGNITUDE = _U32(0x7FFFFFFF)


@compiled()
def key(bits):  # type: ignore[no-untyped-def]  # numba infers
    """Float32 bits as an integer of the same order (its own inverse)."""
    k = _I32(bits)
    return _I32(k ^ _I32(_U32(_I32(k >> _I32(31))) >> _U32(1)))


@compiled()
def bounds(u):  # type: ignore[no-untyped-def]
    """Bits of the smallest and the largest value, and the largest magnitude's.

    Floats of one sign are ordered as their bits are, so three integer bounds tell all; float
    minimum and maximum would not vectorise. Only the magnitude holds where there is a NaN.
    """
    largest_signed = _I32(-0x80000000)
    largest_unsigned = _U32(0)
    smallest_unsigned = _U32(0xFFFFFFFF)
    for i in range(u.size):
        bits = u[i]
        largest_signed = max(largest_signed, _I32(bits))
        largest_unsigned = max(largest_unsigned, bits)
        smallest_unsigned = min(smallest_unsigned, bits)
    has_negative = largest_unsigned >= _SIGN
    has_positive = largest_signed >= _I32(0)
    smallest = largest_unsigned if has_negative else smallest_unsigned
    largest = _U32(largest_signed) if has_positive else smallest_unsigned
    magnitude = _U32(largest & _MAGNITUDE)
    return smallest, largest, max(magnitude, _U32(smallest & _MAGNITUDE))


@compiled()
def are_finite(u):  # type: ignore[no-untyped-def]
    """Whether there is neither NaN nor Inf."""
    largest = _U32(0)
    for i in range(u.size):
        largest = max(largest, _U32(u[i] & _MAGNITUDE))
    return largest < INFINITY


@compiled()
def zeros_and_checksum(u):  # type: ignore[no-untyped-def]
    """Number of zeros of either sign, and the two halves of the checksum."""
    n_zero = _U32(0)
    low = _U32(0)
    high = _U32(0)
    for i in range(u.size):
        bits = u[i]
        n_zero = _U32(n_zero + _U32(_U32(bits << _U32(1)) == _U32(0)))
        low = _U32(low + bits)
        high = _U32(high + _U32(bits * bits))
    return n_zero, low, high


@compiled(fastmath=REORDER)
def sums_in_float32(x):  # type: ignore[no-untyped-def]
    """Sums of the values, their magnitudes and their squares."""
    total = np.float32(0)
    absolute = np.float32(0)
    squares = np.float32(0)
    for i in range(x.size):
        v = x[i]
        total += v
        absolute += abs(v)
        squares += v * v
    return total, absolute, squares


@compiled(fastmath=REORDER)
def sums_in_float64(x):  # type: ignore[no-untyped-def]
    """The same where float32 would over- or underflow."""
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
def finite_only(x, u):  # type: ignore[no-untyped-def]
    """Sums and bounds (as keys) of the finite values, and the counts of the others."""
    total = 0.0
    absolute = 0.0
    squares = 0.0
    smallest = _I32(0x7FFFFFFF)
    largest = _I32(-0x80000000)
    n_nan = 0
    n_posinf = 0
    n_neginf = 0
    for i in range(u.size):
        bits = u[i]
        magnitude = _U32(bits & _MAGNITUDE)
        if magnitude >= INFINITY:
            if magnitude > INFINITY:
                n_nan += 1
            elif bits >= _SIGN:
                n_neginf += 1
            else:
                n_posinf += 1
        else:
            v = np.float64(x[i])
            total += v
            absolute += abs(v)
            squares += v * v
            k = key(bits)
            smallest = min(smallest, k)
            largest = max(largest, k)
    return total, absolute, squares, smallest, largest, n_nan, n_posinf, n_neginf


@compiled()
def note_variation(u, first, varied):  # type: ignore[no-untyped-def]
    """Set the bits in which a block, whole rows of units, differs from the first row."""
    for i in range(u.size):
        varied[i] |= _U32(u[i] ^ first[i])


@compiled()
def _gather(varied, n_units):  # type: ignore[no-untyped-def]
    """Bring what is noted of a unit in rows of units, one after another, into the first one."""
    for start in range(n_units, varied.size, n_units):
        for j in range(n_units):
            varied[j] |= varied[start + j]


@compiled()
def all_units_vary(varied, n_units):  # type: ignore[no-untyped-def]
    """Whether every unit differs from its first value by more than a sign: none is constant or 0.

    ``varied`` are rows of units, one after another.
    """
    _gather(varied, n_units)
    n_varying = 0
    for j in range(n_units):
        n_varying += _U32(varied[j] & _MAGNITUDE) != _U32(0)
    return n_varying == n_units


@compiled()
def zero_and_constant_units(first, varied, n_units):  # type: ignore[no-untyped-def]
    """Number of units that are 0 of either sign throughout, and of those that never vary.

    ``first`` and ``varied`` are rows of units, one after another.
    """
    _gather(varied, n_units)
    n_zero = 0
    n_constant = 0
    for j in range(n_units):
        is_zero = _U32((varied[j] | first[j]) & _MAGNITUDE) == _U32(0)
        n_zero += is_zero
        n_constant += is_zero or varied[j] == _U32(0)
    return n_zero, n_constant
