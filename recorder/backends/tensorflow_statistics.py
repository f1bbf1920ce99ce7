"""Statistics of a step's tensors by TensorFlow itself, on the device where the tensors are.

A GPU would have to copy every tensor to the host for the recorder's kernel (``kernel.py``). Here
it reduces them to the same rows (``traces/statistics.py``), and the rows alone are copied.

XLA compiles the reductions to programs of their own beside the step, since by itself TensorFlow
would launch some fifty kernels per tensor where XLA fuses them into a few that read it once. It
compiles anew for every new shape. So tensors of known shapes, as are those of weights, have a
program of their own, which compiles once; those of which only the first axis, the batch, is unknown
have another, and where more is unknown (sequences of any length) nothing is compiled.

Sums are taken in float64: four float64 instructions an element. By their specifications, cards for
data centres execute them as fast as they read; where float64 runs at a 64th of the speed of float32
they take up to four times as long as the read, 0.4 ms for ten million elements. In return one pass
is enough, and no square of a float32 over- or underflows; float32 sums, though a GPU adds them up
as trees, would need a pass before to find the scale.
"""

from collections.abc import Sequence

import tensorflow as tf

from deeplocalize.traces.schema import STATISTICS

Scalars = dict[str, tf.Tensor]
"""Numbers of a tensor by name, or of all tensors at once."""

Pair = tuple[tf.Tensor, tf.Tensor | None]
"""A tensor, and what is to be subtracted from it."""

# The bits, read as int64, that are 0 in a zero of either sign.
_MAGNITUDE = {tf.float32: 2**31 - 1, tf.float64: 2**63 - 1, tf.int64: -1}


def statistics_rows(
    tensors: Sequence[tf.Tensor], minus: Sequence[tf.Tensor | None], has_units: Sequence[bool]
) -> tf.Tensor:
    """The rows that `StepKernel` fills in, as a tensor.

    Eagerly or in a graph, whatever is known there of the shapes.

    Parameters
    ----------
    tensors
        Of any real or boolean dtype and any shape.
    minus
        Where it has a tensor, the statistics are of the difference of the two, taken in the
        tensors' own precision.
    has_units
        For each tensor whether units (slices along the last axis) are counted. Where a graph
        does not know the number of axes they are not.

    Returns
    -------
    tf.Tensor
        int64 (tensors, statistics columns), the float columns as float64 bits. Counts and
        checksum are exact, minimum and maximum too; ``mean_abs`` and ``rms`` are within
        ``n * 2**-53`` of themselves, and ``mean`` within as much of ``mean_abs``. A device that
        takes subnormal numbers for 0, as TensorFlow's threads of a CPU do, does so in these
        five.
    """
    known: list[int] = []
    batched: list[int] = []
    others: list[int] = []
    for k, x in enumerate(tensors):
        unknown = None if x.shape.rank is None else [n is None for n in x.shape]
        if unknown is None or any(unknown[1:]):
            others.append(k)
        else:
            (batched if any(unknown) else known).append(k)
    parts = [
        take(
            [_halves_subtracted(tensors[k], minus[k]) for k in chosen],
            tuple(has_units[k] for k in chosen),
        )
        for chosen, take in (
            (known, _compiled_rows),
            (batched, _compiled_rows),
            (others, _rows_apart),
        )
        if chosen
    ]
    if not parts:
        return tf.zeros((0, len(STATISTICS)), tf.int64)
    order = [*known, *batched, *others]
    return tf.gather(tf.concat(parts, axis=0), sorted(range(len(order)), key=order.__getitem__))


def _halves_subtracted(x: tf.Tensor, before: tf.Tensor | None) -> Pair:
    # XLA may keep a difference of 16-bit floats in more precision than they have.
    return (x - before, None) if before is not None and x.dtype.size < 4 else (x, before)


def _rows(pairs: Sequence[Pair], has_units: tuple[bool, ...]) -> tf.Tensor:
    reduced = [
        _reduced(_widened(x if before is None else x - before), counts)
        for (x, before), counts in zip(pairs, has_units, strict=True)
    ]
    # What is left is done for all tensors at once.
    columns = _columns({name: tf.stack([one[name] for one in reduced]) for name in reduced[0]})
    bits = [
        tf.bitcast(x, tf.int64) if x.dtype == tf.float64 else x
        for x in (columns[column.name] for column in STATISTICS)
    ]
    return tf.stack(bits, axis=1)


_compiled_rows = tf.function(_rows, jit_compile=True, autograph=False)

# Within the step TensorFlow would merge them with equal operations of its own, which it then
# fuses no more.
_rows_apart = tf.function(_rows, autograph=False, experimental_attributes={"_noinline": True})


def _widened(x: tf.Tensor) -> tf.Tensor:
    """The tensor in float32, float64 or int64, as ``traces/statistics.py`` widens it."""
    if x.dtype in (tf.float32, tf.float64):
        return x
    return tf.cast(x, tf.float32 if x.dtype.is_floating else tf.int64)


def _reduced(x: tf.Tensor, has_units: bool) -> Scalars:
    """All that takes reading a tensor."""
    bits, words = _bits(x)
    # Not x == 0, which on some devices holds for subnormal numbers.
    is_zero = tf.equal(tf.bitwise.bitwise_and(bits, _MAGNITUDE[x.dtype]), 0)
    n_zero_units, n_constant_units = _units(bits, is_zero, has_units)
    x = x if x.dtype.is_floating else tf.cast(x, tf.float64)
    is_finite = tf.math.is_finite(x)
    values = tf.cast(tf.where(is_finite, x, 0), tf.float64)
    scale = tf.ones((), tf.float64)
    if x.dtype == tf.float64:  # the squares of a float32 are all within its range
        largest = tf.reduce_max(tf.abs(values))
        scale = tf.where(largest > 0, largest, scale)
    return {
        "n": tf.size(x, tf.int64),
        "n_nan": _count(tf.math.is_nan(x)),
        "n_posinf": _count(tf.equal(x, float("inf"))),
        "n_neginf": _count(tf.equal(x, float("-inf"))),
        "n_zero": _count(is_zero),
        "n_zero_units": n_zero_units,
        "n_constant_units": n_constant_units,
        "min": tf.cast(tf.reduce_min(tf.where(is_finite, x, float("inf"))), tf.float64),
        "max": tf.cast(tf.reduce_max(tf.where(is_finite, x, float("-inf"))), tf.float64),
        "sum": tf.reduce_sum(values),
        "sum_abs": tf.reduce_sum(tf.abs(values)),
        "sum_squares": tf.reduce_sum(tf.square(values / scale)),
        "scale": scale,
        "sum_words": tf.add_n([tf.reduce_sum(part) for part in words]),
        "sum_squared_words": tf.add_n([tf.reduce_sum(part * part) for part in words]),
    }


def _bits(x: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """The bits of each element, and numbers whose last 32 bits are the words of the checksum.

    All int64, for whose arithmetic there are kernels on a GPU. Only the last 32 bits of their sums
    and products are wanted, and those do not depend on the bits before them.
    """
    if x.dtype == tf.float32:
        bits = tf.cast(tf.bitcast(x, tf.int32), tf.int64)
        return bits, [bits]
    bits = tf.bitcast(x, tf.int64)
    return bits, [bits, tf.bitwise.right_shift(bits, 32)]


def _units(bits: tf.Tensor, is_zero: tf.Tensor, are_wanted: bool) -> tuple[tf.Tensor, tf.Tensor]:
    """How many units are 0, and how many are the same throughout; -1 where there are none."""
    none = tf.constant(-1, tf.int64)
    n_axes = bits.shape.rank
    if not are_wanted or n_axes is None or n_axes < 2:
        return none, none
    axes = list(range(n_axes - 1))
    first = bits[(slice(1),) * (n_axes - 1)]
    stays_zero = tf.reduce_all(is_zero, axes)
    stays = tf.reduce_all(tf.equal(bits, first), axes)
    has_elements = tf.size(bits) > 0
    n_zero = tf.where(has_elements, _count(stays_zero), none)
    n_constant = tf.where(has_elements, _count(stays_zero | stays), none)
    return n_zero, n_constant


def _count(mask: tf.Tensor) -> tf.Tensor:
    return tf.math.count_nonzero(mask, dtype=tf.int64)


def _columns(of: Scalars) -> Scalars:
    """The columns, each of all tensors, from what the tensors were reduced to."""
    n_finite = of["n"] - of["n_nan"] - of["n_posinf"] - of["n_neginf"]
    divisor = tf.cast(n_finite, tf.float64)
    floats = {
        "min": of["min"],
        "max": of["max"],
        "mean": of["sum"] / divisor,
        "mean_abs": of["sum_abs"] / divisor,
        "rms": of["scale"] * tf.sqrt(of["sum_squares"] / divisor),
    }
    low = tf.bitwise.bitwise_and(of["sum_words"], 2**32 - 1)
    high = tf.bitwise.left_shift(of["sum_squared_words"], 32)
    return {
        **of,
        **{name: tf.where(n_finite > 0, x, float("nan")) for name, x in floats.items()},
        "checksum": tf.bitwise.bitwise_or(high, low),
    }
