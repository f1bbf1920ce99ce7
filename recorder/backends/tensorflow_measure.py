"""Rows of statistics of a step's tensors, taken by compiled code where TensorFlow has them."""

import numba as nb
import numpy as np

from ..compiled import compiled
from ..row import N_COLUMNS
from ..row_kernels import BLOCK, READ_BESIDE, fill_difference_rows, fill_row, is_finite, pointer
from .tensorflow_calls import axis, data, n_axes, n_elements
from .tensorflow_records import LAYOUT, LEFT_OUT, LEFT_OUT_BROKEN, MEASURED, QUEUE


@compiled()
def _is_due(form):  # type: ignore[no-untyped-def]
    """Whether the step is one that is to be measured."""
    queue = nb.carray(pointer(form.queue), (1,), QUEUE)[0]
    return queue.n_to_skip == 0 and queue.n_to_measure > 0


@compiled()
def _measures(form):  # type: ignore[no-untyped-def]
    """Whether rows are filled, which could not be done any more once a later tensor breaks.

    That is, where tensors are not held, whatever the budget.
    """
    return form.n_whole_steps == 0 or _is_due(form)


@compiled()
def measure(form, first, end, handles):  # type: ignore[no-untyped-def]
    """Fill some rows, or only look whether all is finite; what has become of them."""
    measures = _measures(form)
    outcome = MEASURED if _is_due(form) else LEFT_OUT
    layout = nb.carray(pointer(form.layout), (form.n_rows,), LAYOUT)
    rows = nb.carray(pointer(form.current_rows), (form.n_rows, N_COLUMNS), np.int64)
    values = rows.view(np.float64)
    scratch = np.empty(BLOCK, np.float32)
    for k in range(first, end):
        if layout[k].source != k or (measures and layout[k].beside == READ_BESIDE):
            continue
        tensor, code = handles[layout[k].place], layout[k].code
        size = n_elements(tensor)
        address = np.uint64(data(tensor))
        if measures and layout[k].place_of_minus >= 0:
            before = np.uint64(data(handles[layout[k].place_of_minus]))
            fill_difference_rows(address, before, size, scratch, rows, k, layout[k].beside)
            continue
        if measures:
            n_units = 0
            if layout[k].has_units and size > 0 and n_axes(tensor) >= 2:
                n_units = axis(tensor, n_axes(tensor) - 1)
            fill_row(code, address, size, n_units, rows[k], values[k])
            continue
        for column in range(N_COLUMNS):
            rows[k, column] = 0
        if layout[k].is_watched and not is_finite(code, address, size):
            outcome = LEFT_OUT_BROKEN
    return outcome


@compiled()
def rows_of_part(form, part, handles):  # type: ignore[no-untyped-def]
    """From which row to before which: a row is its part's in which the middle of it lies.

    Parts are equal in what `measure` reads, which takes nearly all the time.
    """
    measures = _measures(form)
    layout = nb.carray(pointer(form.layout), (form.n_rows,), LAYOUT)
    sizes = np.zeros(form.n_rows, np.int64)
    for k in range(form.n_rows):
        if layout[k].source != k:
            continue
        n_reads = layout[k].is_watched
        if measures:
            n_reads = 1 + (layout[k].place_of_minus >= 0) - (layout[k].beside == READ_BESIDE)
        sizes[k] = n_reads * n_elements(handles[layout[k].place])
    n_halves = max(1, 2 * sizes.sum())
    first, end, n_before = 0, 0, 0
    for k in range(form.n_rows):
        number = min(part.n_parts - 1, (2 * n_before + sizes[k]) * part.n_parts // n_halves)
        first += number < part.number
        end += number <= part.number
        n_before += sizes[k]
    return first, end
