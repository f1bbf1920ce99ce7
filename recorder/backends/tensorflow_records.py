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
        ("n_to_skip", np.int64),
        ("n_to_measure", np.int64),
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
is not finite, how many of the next are left out, and how many then are to be measured, how much
time was spent since Python last took some, whether a step found no room, which form of the step
waits, how many, with how many bytes, when Python took some last, and by which number Python knows
it."""

MEASURED, LEFT_OUT, LEFT_OUT_BROKEN = 0, 1, 2
"""What became of a step: its rows were filled, or the budget left it out; in the last case
something in it is not finite."""

FORM = np.dtype(
    [
        ("queue", np.int64),
        ("id", np.int64),
        ("status", np.int64),
        ("n_groups", np.int64),
        ("n_parts", np.int64),
        ("n_numbers", np.int64),
        ("n_tensors", np.int64),
        ("n_places", np.int64),
        ("n_rows", np.int64),
        ("n_whole_steps", np.int64),
        ("first_input", np.int64),
        ("layout", np.int64),
        ("is_kept", np.int64),
        ("pending", np.int64),
        ("current_rows", np.int64),
        ("outcomes", np.int64),
        ("rows", np.int64),
        ("numbers", np.int64),
        ("tensors", np.int64),
        ("sizes", np.int64),
        ("n_samples", np.int64),
        ("ended_ns", np.int64),
    ]
)
"""One form of the step: the address of its queue, its place there, how much it hands over (places
are those of its tensors, and behind them those of tensors that are only read), how many of the
latest steps hold all their tensors, the place of its first input (-1: none), and the addresses of
arrays: the layout of its rows; for each tensor whether all steps hold it; for each place what is
there while the step runs; the rows of the step that runs; for `MOST_STEPS` steps what became of
them, rows, numbers (float64), handles of tensors (0: not held), their bytes, how many samples their
batch has (-1: not known), and when they ended."""

LAYOUT = np.dtype(
    [
        ("source", np.int64),
        ("place", np.int64),
        ("place_of_minus", np.int64),
        ("beside", np.int64),
        ("has_units", np.int64),
        ("is_watched", np.int64),
        ("code", np.int64),
    ]
)
"""For each row: which row has the same numbers (itself, unless one before it does), the place of
the tensor that it is of and of what is subtracted from it (-1: nothing), the row of that, which is
filled with it (`row_kernels.py`; or `ALONE`, or `READ_BESIDE`), whether its units are counted,
whether it is looked at where the budget leaves it out, and the type of its elements
(`row_kernels.py`)."""

GROUP = np.dtype(
    [
        ("form", np.int64),
        ("status", np.int64),
        ("n_tensors", np.int64),
        ("first_row", np.int64),
        ("end_row", np.int64),
        ("places", np.int64),
        ("is_first", np.int64),
    ]
)
"""Tensors that are collected by one operation, and their rows, from the first to before the end.
Addresses are those of each tensor's place, and of whether no group has it before this one does."""

PART = np.dtype(
    [("form", np.int64), ("status", np.int64), ("number", np.int64), ("n_parts", np.int64)]
)
"""A part of the rows that are taken at the end of the step, by one operation of several."""

REPORT = np.dtype(
    [
        ("outcome", np.int64),
        ("began_ns", np.int64),
        ("ended_ns", np.int64),
        ("n_bytes", np.int64),
    ]
)
"""What an operation tells the last one: what became of its rows, from when to when it ran, and how
many bytes the tensors have that it was the first to collect."""

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
