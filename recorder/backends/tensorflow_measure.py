"""Rows of statistics of a step's tensors, taken by compiled code where TensorFlow has them."""

import numba as nb
import numpy as np

from ..compiled import compiled
from ..row import N_COLUMNS
from ..row_kernels import BLOCK, fill_row, is_finite, pointer
from .tensorflow_calls import axis, data, n_axes, n_elements
from .tensorflow_records import LAYOUT, LEFT_OUT, LEFT_OUT_BROKEN, MEASURED, QUEUE


@compiled()
def measure(form, first, last, handles):  # type: ignore[no-untyped-def]
    """Fill some rows, or only look whether all is finite; what has become of them."""
    queue = nb.carray(pointer(form.queue), (1,), QUEUE)[0]
    measures = queue.spent_ns <= queue.left_ns
    outcome = MEASURED if measures else LEFT_OUT
    layout = nb.carray(pointer(form.layout), (form.n_rows,), LAYOUT)
    rows = nb.carray(pointer(form.row), (form.n_rows, N_COLUMNS), np.int64)
    values = rows.view(np.float64)
    scratch = np.empty(BLOCK, np.float32)
    for k in range(first, last):
        if layout[k].source != k:
            continue
        tensor, code = handles[layout[k].tensor], layout[k].code
        size = n_elements(tensor)
        address = np.uint64(data(tensor))
        before = np.uint64(0)
        if layout[k].minus >= 0:
            before = np.uint64(data(handles[layout[k].minus]))
        if measures:
            n_units = 0
            if layout[k].has_units and size > 0 and n_axes(tensor) >= 2:
                n_units = axis(tensor, n_axes(tensor) - 1)
            fill_row(code, address, before, size, n_units, scratch, rows[k], values[k])
            continue
        for column in range(N_COLUMNS):
            rows[k, column] = 0
        if layout[k].is_watched and not is_finite(code, address, size):
            outcome = LEFT_OUT_BROKEN
    return outcome


@compiled()
def share(form, part, handles):  # type: ignore[no-untyped-def]
    """The first of a part's rows and of the next one's: parts have about as many elements."""
    layout = nb.carray(pointer(form.layout), (form.n_rows,), LAYOUT)
    ends = np.zeros(form.n_rows, np.int64)
    n = 0
    for k in range(form.n_rows):
        if layout[k].source == k:
            n += n_elements(handles[layout[k].tensor])
        ends[k] = n
    first = 0
    last = 0
    for k in range(form.n_rows):
        first += ends[k] * part.n_parts <= n * part.number
        last += ends[k] * part.n_parts <= n * (part.number + 1)
    if part.number == part.n_parts - 1:
        last = form.n_rows
    return first, last
