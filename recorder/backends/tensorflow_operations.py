"""Two operations of our own in a recorded step, compiled by numba and run without Python.

``DeeplocalizeStatistics`` gives rows of statistics of some tensors, or where a budget is spent only
looks whether all is finite; it holds those tensors that somebody may want, and the others live no
longer than in a training without it. ``DeeplocalizeHandOver`` ends the step, which waits until
Python takes several at once (`tensorflow_queue.py`). What they know of the step is in records
(`tensorflow_records.py`), whose addresses are attributes.
"""

import ctypes
import functools
import threading
from collections.abc import Callable

import numba as nb
import numpy as np
from numba import types

from deeplocalize.traces.schema import NONFINITE

from ..compiled import compiled, compiled_callback
from ..kernel import COLUMNS
from ..row import N_COLUMNS
from ..row_kernels import BLOCK, fill_row, is_finite, pointer
from .tensorflow_c_api import (
    MissingInterfaceError,
    compiled_function,
    library,
    name_function,
    register_operation,
)
from .tensorflow_records import (
    FORM,
    GROUP,
    LAYOUT,
    LEFT_OUT,
    LEFT_OUT_BROKEN,
    MEASURED,
    MOST_STEPS,
    QUEUE,
)

STATISTICS, HAND_OVER = "DeeplocalizeStatistics", "DeeplocalizeHandOver"

MOST_BYTES = 32 << 20
"""How much is held for Python, unless a single step is larger."""

LONGEST_WAIT_NS = 100_000_000
"""The first step to end so long after the last were taken has those that wait taken."""

_INT64 = 9  # TF_INT64
_NONFINITE = COLUMNS.index(NONFINITE[0])  # the first of three columns
_TAKE_STEPS = "deeplocalize_take_steps"
_ADDRESS = types.intp

_registering = threading.Lock()

takers: dict[int, Callable[[], None]] = {}
"""What takes the steps of a queue, by the queue's number; it must not raise."""


def _call_taker(number: int) -> None:
    taker = takers.get(number)
    if taker is not None:
        taker()


_CALL_TAKER = ctypes.CFUNCTYPE(None, ctypes.c_int64)(_call_taker)
name_function(_TAKE_STEPS, _CALL_TAKER)
library()  # has to know the functions below before they are loaded or compiled
_get_input = compiled_function("TF_GetInput", types.void, _ADDRESS, types.int32, _ADDRESS, _ADDRESS)
_allocate_output = compiled_function(
    "TF_AllocateOutput",
    _ADDRESS,
    *(_ADDRESS, types.int32, types.int32, _ADDRESS, types.int32, types.intp, _ADDRESS),
)
_delete = compiled_function("TF_DeleteTensor", types.void, _ADDRESS)
_fail = compiled_function("TF_OpKernelContext_Failure", types.void, _ADDRESS, _ADDRESS)
_data = compiled_function("TF_TensorData", _ADDRESS, _ADDRESS)
_n_elements = compiled_function("TF_TensorElementCount", types.int64, _ADDRESS)
_n_bytes = compiled_function("TF_TensorByteSize", types.int64, _ADDRESS)
_n_axes = compiled_function("TF_NumDims", types.int32, _ADDRESS)
_axis = compiled_function("TF_Dim", types.int64, _ADDRESS, types.int32)
_now_ns = compiled_function("TF_NowNanos", types.int64)
_take_steps = compiled_function(_TAKE_STEPS, types.void, types.int64)


@compiled()
def _copy_rows(form, context, rows):  # type: ignore[no-untyped-def]
    """Gather the groups' rows; what became of them, whether one breaks, time taken and bytes."""
    handle = np.zeros(1, np.int64)
    first = 0
    outcome = MEASURED
    spent_ns = 0
    n_bytes = 0
    for group in range(form.n_groups):
        _get_input(context, group, handle.ctypes.data, form.status)
        n = _n_elements(handle[0]) // N_COLUMNS - 1
        found = nb.carray(pointer(_data(handle[0])), (n + 1, N_COLUMNS), np.int64)
        for k in range(n):  # to assign an array at once takes numba seconds to compile
            for column in range(N_COLUMNS):
                rows[first + k, column] = found[k, column]
        outcome = max(outcome, found[n, 0])
        spent_ns += found[n, 1]
        n_bytes += found[n, 2]
        _delete(handle[0])
        first += n
    is_broken = outcome == LEFT_OUT_BROKEN
    for k in range(form.n_rows):
        for column in range(_NONFINITE, _NONFINITE + 3):
            is_broken |= rows[k, column] > 0
    if is_broken and outcome == LEFT_OUT:
        outcome = LEFT_OUT_BROKEN  # some groups had been measured when the budget was spent
    return outcome, is_broken, spent_ns, n_bytes


@compiled()
def _copy_numbers(form, context, step):  # type: ignore[no-untyped-def]
    """Numbers are a truth value, float32 or float64; their size tells which."""
    numbers = nb.carray(pointer(form.numbers), (MOST_STEPS, form.n_numbers), np.float64)[step]
    handle = np.zeros(1, np.int64)
    for k in range(form.n_numbers):
        _get_input(context, form.n_groups + k, handle.ctypes.data, form.status)
        address = pointer(_data(handle[0]))
        size = _n_bytes(handle[0])
        if size == 1:
            numbers[k] = nb.carray(address, (1,), np.uint8)[0]
        elif size == 4:
            numbers[k] = nb.carray(address, (1,), np.float32)[0]
        else:
            numbers[k] = nb.carray(address, (1,), np.float64)[0]
        _delete(handle[0])


@compiled()
def _look_at(group, handles, measures, rows):  # type: ignore[no-untyped-def]
    """Fill the group's rows, or only look whether all is finite; what has become of them."""
    outcome = MEASURED if measures else LEFT_OUT
    layout = nb.carray(pointer(group.layout), (group.n_rows,), LAYOUT)
    values = rows.view(np.float64)
    scratch = np.empty(BLOCK, np.float32)
    for k in range(group.n_rows):
        tensor, code = handles[layout[k].tensor], layout[k].code
        size = _n_elements(tensor)
        address = np.uint64(_data(tensor))
        before = np.uint64(0)
        if layout[k].minus >= 0:
            before = np.uint64(_data(handles[layout[k].minus]))
        if measures:
            n_units = 0
            if layout[k].has_units and size > 0 and _n_axes(tensor) >= 2:
                n_units = _axis(tensor, _n_axes(tensor) - 1)
            fill_row(code, address, before, size, n_units, scratch, rows[k], values[k])
        elif layout[k].is_watched and not is_finite(code, address, size):
            outcome = LEFT_OUT_BROKEN
    return outcome


@compiled()
def release(handles):  # type: ignore[no-untyped-def]
    """Let go of tensors, and set their handles to 0, which stands for none."""
    for i in range(handles.size):
        if handles[i] != 0:
            _delete(handles[i])
        handles[i] = 0


@compiled()
def _hold(group, handles):  # type: ignore[no-untyped-def]
    """Keep the tensors that are to be held, let go of the others; bytes of all with a place."""
    form = nb.carray(pointer(group.form), (1,), FORM)[0]
    places = nb.carray(pointer(group.places), (group.n_tensors,), np.int64)
    is_kept = nb.carray(pointer(form.is_kept), (form.n_tensors,), np.int64)
    pending = nb.carray(pointer(form.pending), (form.n_tensors,), np.int64)
    n_bytes = 0
    for i in range(group.n_tensors):
        place = places[i]
        if place < 0:
            _delete(handles[i])
            continue
        n_bytes += _n_bytes(handles[i])
        if pending[place] != 0:
            _delete(pending[place])  # of a step that failed before its end
            pending[place] = 0
        if form.n_whole_steps > 0 or is_kept[place] != 0:
            pending[place] = handles[i]
        else:
            _delete(handles[i])
    return n_bytes


@compiled()
def _thin(form, step):  # type: ignore[no-untyped-def]
    """Let go of a waiting step's tensors but for those that all steps hold; how many bytes."""
    is_kept = nb.carray(pointer(form.is_kept), (form.n_tensors,), np.int64)
    tensors = nb.carray(pointer(form.tensors), (MOST_STEPS, form.n_tensors), np.int64)[step]
    n_bytes = 0
    for i in range(form.n_tensors):
        if tensors[i] != 0 and is_kept[i] == 0:
            n_bytes += _n_bytes(tensors[i])
            _delete(tensors[i])
            tensors[i] = 0
    return n_bytes


@compiled_callback(types.void(_ADDRESS, _ADDRESS))
def _statistics(kernel, context):  # type: ignore[no-untyped-def]
    began_ns = _now_ns()
    group = nb.carray(pointer(kernel), (1,), GROUP)[0]
    queue = nb.carray(pointer(group.queue), (1,), QUEUE)[0]
    handles = np.zeros(group.n_tensors, np.int64)
    shape = np.empty(2, np.int64)
    shape[0], shape[1] = group.n_rows + 1, N_COLUMNS
    output = _allocate_output(
        context, 0, _INT64, shape.ctypes.data, 2, (group.n_rows + 1) * N_COLUMNS * 8, group.status
    )
    if output == 0:
        _fail(context, group.status)
        return
    rows = nb.carray(pointer(_data(output)), (group.n_rows + 1, N_COLUMNS), np.int64)
    measures = queue.spent_ns <= queue.left_ns
    if queue.is_open == 0 or not measures:
        rows[:] = 0
    if queue.is_open != 0:
        for i in range(group.n_tensors):
            _get_input(context, i, handles.ctypes.data + 8 * i, group.status)
        rows[group.n_rows, 0] = _look_at(group, handles, measures, rows)
        rows[group.n_rows, 2] = _hold(group, handles)
    rows[group.n_rows, 1] = _now_ns() - began_ns
    _delete(output)


@compiled_callback(types.void(_ADDRESS, _ADDRESS))
def _hand_over(kernel, context):  # type: ignore[no-untyped-def]
    form = nb.carray(pointer(kernel), (1,), FORM)[0]
    queue = nb.carray(pointer(form.queue), (1,), QUEUE)[0]
    if queue.is_open == 0:
        return
    if queue.n_steps > 0 and queue.form != form.id:
        _take_steps(queue.id)
        if queue.is_open == 0:
            return
    began_ns = _now_ns()
    step = queue.n_steps
    pending = nb.carray(pointer(form.pending), (form.n_tensors,), np.int64)
    if step == MOST_STEPS:
        queue.has_lost = 1
        release(pending)
        return
    rows = nb.carray(pointer(form.rows), (MOST_STEPS, form.n_rows, N_COLUMNS), np.int64)[step]
    outcome, is_broken, spent_ns, n_bytes = _copy_rows(form, context, rows)
    _copy_numbers(form, context, step)
    tensors = nb.carray(pointer(form.tensors), (MOST_STEPS, form.n_tensors), np.int64)[step]
    n_held_bytes = 0
    for i in range(form.n_tensors):
        tensors[i], pending[i] = pending[i], 0
        if tensors[i] != 0:
            n_held_bytes += _n_bytes(tensors[i])
    if 0 < form.n_whole_steps <= step:
        n_held_bytes -= _thin(form, step - form.n_whole_steps)
    now_ns = _now_ns()
    nb.carray(pointer(form.outcomes), (MOST_STEPS,), np.int64)[step] = outcome
    nb.carray(pointer(form.sizes), (MOST_STEPS,), np.int64)[step] = n_bytes
    nb.carray(pointer(form.ended_ns), (MOST_STEPS,), np.int64)[step] = now_ns
    queue.form = form.id
    queue.n_steps = step + 1
    queue.n_bytes += n_held_bytes
    queue.spent_ns += spent_ns + now_ns - began_ns
    if (
        (is_broken and queue.watches != 0)
        or queue.n_steps == MOST_STEPS
        or queue.n_bytes >= MOST_BYTES
        or now_ns - queue.since_ns >= LONGEST_WAIT_NS
    ):
        _take_steps(queue.id)


def register() -> None:
    """Make both known to TensorFlow, once: a second time would end the process.

    Raises
    ------
    MissingInterfaceError
        TensorFlow did not accept them.
    """
    with _registering:
        obstacle = _register()
    if obstacle is not None:
        raise obstacle


@functools.cache
def _register() -> MissingInterfaceError | None:
    release(np.zeros(0, np.int64))  # compiles it: no place for that is where memory is released
    try:
        register_operation(STATISTICS, ["tensors: T"], ["rows: int64"], _statistics.address, False)
        register_operation(HAND_OVER, ["values: T"], [], _hand_over.address, True)
    except MissingInterfaceError as error:
        return error
    return None
