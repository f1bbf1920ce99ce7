"""What the operations of a recorded step know of it: records in memory, at fixed addresses.

TensorFlow may run an operation as long as it keeps its graph, which nobody tells: records are
never freed. They take some bytes for each series.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_STEPS = 32
"""How many steps are held for Python at the most."""

QUEUE = np.dtype(
    [
        ("is_open", np.int64),
        ("watches", np.int64),
        ("left_ns", np.int64),
        ("spent_ns", np.int64),
        ("has_lost", np.int64),
        ("form", np.int64),
        ("n_steps", np.int64),
        ("n_bytes", np.int64),
        ("since_ns", np.int64),
        ("id", np.int64),
    ]
)
"""What a session's steps wait in: whether it takes more of them, whether it is to be told of what
is not finite, how much time the budget left when Python last took some and how much was spent
since, whether a step found no room, which form of the step waits, how many, with how many bytes,
when Python took some last, and by which number Python knows it."""

MEASURED, LEFT_OUT, LEFT_OUT_BROKEN = 0, 1, 2
"""What became of a step: its rows were filled, or the budget left it out; in the last case
something in it is not finite."""

FORM = np.dtype(
    [
        ("queue", np.int64),
        ("id", np.int64),
        ("status", np.int64),
        ("n_groups", np.int64),
        ("n_numbers", np.int64),
        ("n_tensors", np.int64),
        ("n_rows", np.int64),
        ("n_whole_steps", np.int64),
        ("is_kept", np.int64),
        ("pending", np.int64),
        ("outcomes", np.int64),
        ("rows", np.int64),
        ("numbers", np.int64),
        ("tensors", np.int64),
        ("sizes", np.int64),
        ("ended_ns", np.int64),
    ]
)
"""One form of the step: the address of its queue, its place there, how much it hands over, how many
of the latest steps hold all their tensors, and the addresses of arrays: for each tensor whether all
steps hold it, and its handle while the step runs; for `MOST_STEPS` steps what became of them, rows,
numbers (float64), handles of tensors (0: not held), their bytes, and when they ended."""

GROUP = np.dtype(
    [
        ("queue", np.int64),
        ("form", np.int64),
        ("status", np.int64),
        ("n_tensors", np.int64),
        ("n_rows", np.int64),
        ("layout", np.int64),
        ("places", np.int64),
    ]
)
"""Tensors whose rows are taken together, and the addresses of their layout and of their places in
the form (-1: another group holds it, or it is only read). Their operation gives these rows and one
more: what became of them, how many nanoseconds that took, and how many bytes have a place."""

LAYOUT = np.dtype(
    [
        ("tensor", np.int64),
        ("minus", np.int64),
        ("has_units", np.int64),
        ("is_watched", np.int64),
        ("code", np.int64),
    ]
)
"""For each row: which tensor it is of, which is subtracted from it (-1: none), whether its units
are counted, whether it is looked at where the budget leaves it out, and the type of its elements
(`row_kernels.py`)."""

_records: list[NDArray[Any]] = []


def record(dtype: np.dtype[Any], **fields: int) -> NDArray[Any]:
    """A record that stays where it is, (1,)."""
    made = np.zeros(1, dtype)
    for name, value in fields.items():
        made[name] = value
    return lasting(made)


def lasting(array: NDArray[Any]) -> NDArray[Any]:
    """The array, which is never freed."""
    _records.append(array)
    return array
