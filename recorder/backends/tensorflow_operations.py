"""Operations of our own in a recorded step, compiled by numba and run without Python.

``DeeplocalizeCollect`` takes some tensors of the step. Where all of them are held until it ends,
``DeeplocalizeMeasure`` takes rows of statistics of them there, of a large step several at the same
time, when nothing else of the step is in their way; else they are measured as they are collected,
and live little longer than in a training without them. ``DeeplocalizeHandOver`` ends the step,
which waits until Python takes several at once (`tensorflow_queue.py`). What they know of the step
is in records (`tensorflow_records.py`), whose addresses are attributes.
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
from ..row_kernels import pointer
from .tensorflow_c_api import (
    MissingInterfaceError,
    compiled_function,
    name_function,
    register_operation,
)
from .tensorflow_calls import (
    ADDRESS,
    allocate_output,
    axis,
    byte_size,
    data,
    delete,
    fail,
    get_input,
    n_axes,
    now_ns,
    release,
)
from .tensorflow_measure import measure, rows_of_part
from .tensorflow_records import (
    FORM,
    GROUP,
    LAYOUT,
    LEFT_OUT,
    LEFT_OUT_BROKEN,
    MEASURED,
    MOST_STEPS,
    PART,
    QUEUE,
    REPORT,
)

COLLECT, MEASURE = "DeeplocalizeCollect", "DeeplocalizeMeasure"
HAND_OVER = "DeeplocalizeHandOver"

MOST_BYTES = 32 << 20
"""How much is held for Python, unless a single step is larger."""

LONGEST_WAIT_NS = 100_000_000
"""The first step to end so long after the last were taken has those that wait taken."""

# What each tensor that is handed over costs beside what is timed: TensorFlow has more operations to
# schedule, and may not use its memory again at once. Chosen, of the order of an operation's cost.
_TENSOR_NS = 1500

_INT64 = 9  # TF_INT64
_NONFINITE = COLUMNS.index(NONFINITE[0])  # the first of three columns
_REPORT_BYTES = REPORT.itemsize
_TAKE_STEPS = "deeplocalize_take_steps"

_registering = threading.Lock()

takers: dict[int, Callable[[], None]] = {}
"""What takes the steps of a queue, by the queue's number; it must not raise."""


def _call_taker(number: int) -> None:
    taker = takers.get(number)
    if taker is not None:
        taker()


_CALL_TAKER = ctypes.CFUNCTYPE(None, ctypes.c_int64)(_call_taker)
name_function(_TAKE_STEPS, _CALL_TAKER)
_take_steps = compiled_function(_TAKE_STEPS, types.void, types.int64)


@compiled()
def _copy_rows(form, rows):  # type: ignore[no-untyped-def]
    """Copy the step's rows; whether something in them is not finite."""
    found = nb.carray(pointer(form.current_rows), (form.n_rows, N_COLUMNS), np.int64)
    layout = nb.carray(pointer(form.layout), (form.n_rows,), LAYOUT)
    is_broken = False
    for k in range(form.n_rows):
        for column in range(N_COLUMNS):  # to assign an array at once takes seconds to compile
            rows[k, column] = found[layout[k].source, column]
        for column in range(_NONFINITE, _NONFINITE + 3):
            is_broken |= rows[k, column] > 0
    return is_broken


@compiled()
def _read_reports(form, context):  # type: ignore[no-untyped-def]
    """What became of the step's rows, how long that took, and the bytes that were collected.

    Groups are collected while the step goes on; it waits from the first part to the last.
    """
    handle = np.zeros(1, np.int64)
    outcome = MEASURED
    spent_ns = 0
    n_bytes = 0
    began_ns, ended_ns = 0, 0
    for k in range(form.n_groups + form.n_parts):
        get_input(context, k, handle.ctypes.data, form.status)
        report = nb.carray(pointer(data(handle[0])), (1,), REPORT)[0]
        outcome = max(outcome, report.outcome)
        n_bytes += report.n_bytes
        if k < form.n_groups:
            spent_ns += report.ended_ns - report.began_ns
        elif k == form.n_groups:
            began_ns, ended_ns = report.began_ns, report.ended_ns
        else:
            began_ns = min(began_ns, report.began_ns)
            ended_ns = max(ended_ns, report.ended_ns)
        delete(handle[0])
    return outcome, spent_ns + ended_ns - began_ns, n_bytes


@compiled()
def _copy_numbers(form, context, step):  # type: ignore[no-untyped-def]
    """Numbers are a truth value, float32 or float64; their size tells which."""
    numbers = nb.carray(pointer(form.numbers), (MOST_STEPS, form.n_numbers), np.float64)[step]
    handle = np.zeros(1, np.int64)
    for k in range(form.n_numbers):
        get_input(context, form.n_groups + form.n_parts + k, handle.ctypes.data, form.status)
        address = pointer(data(handle[0]))
        size = byte_size(handle[0])
        if size == 1:
            numbers[k] = nb.carray(address, (1,), np.uint8)[0]
        elif size == 4:
            numbers[k] = nb.carray(address, (1,), np.float32)[0]
        else:
            numbers[k] = nb.carray(address, (1,), np.float64)[0]
        delete(handle[0])


@compiled()
def _hold(form, group, handles):  # type: ignore[no-untyped-def]
    """Keep the tensors that are to be held, let go of the others.

    Returns the bytes of those of the step's own that no group has before this one.
    """
    places = nb.carray(pointer(group.places), (group.n_tensors,), np.int64)
    is_first = nb.carray(pointer(group.is_first), (group.n_tensors,), np.int64)
    is_kept = nb.carray(pointer(form.is_kept), (form.n_tensors,), np.int64)
    pending = nb.carray(pointer(form.pending), (form.n_places,), np.int64)
    n_bytes = 0
    for i in range(group.n_tensors):
        place = places[i]
        if is_first[i] != 0 and pending[place] != 0:
            delete(pending[place])  # of a step that failed before its end
            pending[place] = 0
        holds = is_first[i] != 0
        if holds and place < form.n_tensors:
            n_bytes += byte_size(handles[place])
            holds = form.n_whole_steps > 0 or is_kept[place] != 0
        elif form.n_whole_steps == 0:
            holds = False  # it was only to be read
        if holds:
            pending[place] = handles[place]
        else:
            delete(handles[place])
    return n_bytes


@compiled()
def _thin(form, step):  # type: ignore[no-untyped-def]
    """Let go of a waiting step's tensors but for those that all steps hold; how many bytes."""
    is_kept = nb.carray(pointer(form.is_kept), (form.n_tensors,), np.int64)
    tensors = nb.carray(pointer(form.tensors), (MOST_STEPS, form.n_tensors), np.int64)[step]
    n_bytes = 0
    for i in range(form.n_tensors):
        if tensors[i] != 0 and is_kept[i] == 0:
            n_bytes += byte_size(tensors[i])
            delete(tensors[i])
            tensors[i] = 0
    return n_bytes


@compiled()
def _new_report(context, status):  # type: ignore[no-untyped-def]
    """The tensor that an operation gives; 0, and the step fails, where there is no memory."""
    shape = np.empty(1, np.int64)
    shape[0] = _REPORT_BYTES // 8
    output = allocate_output(context, 0, _INT64, shape.ctypes.data, 1, _REPORT_BYTES, status)
    if output == 0:
        fail(context, status)
        return output
    report = nb.carray(pointer(data(output)), (1,), REPORT)[0]
    report.outcome, report.n_bytes = MEASURED, 0
    report.began_ns = now_ns()
    return output


@compiled_callback(types.void(ADDRESS, ADDRESS))
def _collect_operation(kernel, context):  # type: ignore[no-untyped-def]
    group = nb.carray(pointer(kernel), (1,), GROUP)[0]
    form = nb.carray(pointer(group.form), (1,), FORM)[0]
    queue = nb.carray(pointer(form.queue), (1,), QUEUE)[0]
    output = _new_report(context, group.status)
    if output == 0:
        return
    report = nb.carray(pointer(data(output)), (1,), REPORT)[0]
    if queue.is_open != 0:
        places = nb.carray(pointer(group.places), (group.n_tensors,), np.int64)
        handles = np.zeros(form.n_places, np.int64)
        for i in range(group.n_tensors):
            get_input(context, i, handles.ctypes.data + 8 * places[i], group.status)
        if form.n_whole_steps == 0:
            report.outcome = measure(form, group.first_row, group.end_row, handles)
        report.n_bytes = _hold(form, group, handles)
    report.ended_ns = now_ns()
    delete(output)


@compiled_callback(types.void(ADDRESS, ADDRESS))
def _measure_operation(kernel, context):  # type: ignore[no-untyped-def]
    part = nb.carray(pointer(kernel), (1,), PART)[0]
    form = nb.carray(pointer(part.form), (1,), FORM)[0]
    queue = nb.carray(pointer(form.queue), (1,), QUEUE)[0]
    output = _new_report(context, part.status)
    if output == 0:
        return
    report = nb.carray(pointer(data(output)), (1,), REPORT)[0]
    if queue.is_open != 0 and form.n_whole_steps > 0:
        pending = nb.carray(pointer(form.pending), (form.n_places,), np.int64)
        first, end = rows_of_part(form, part, pending)
        report.outcome = measure(form, first, end, pending)
    report.ended_ns = now_ns()
    delete(output)


@compiled_callback(types.void(ADDRESS, ADDRESS))
def _hand_over_operation(kernel, context):  # type: ignore[no-untyped-def]
    form = nb.carray(pointer(kernel), (1,), FORM)[0]
    queue = nb.carray(pointer(form.queue), (1,), QUEUE)[0]
    if queue.is_open == 0:
        return
    if queue.n_steps > 0 and queue.form != form.id:
        _take_steps(queue.id)
        if queue.is_open == 0:
            return
    began_ns = now_ns()
    step = queue.n_steps
    pending = nb.carray(pointer(form.pending), (form.n_places,), np.int64)
    release(pending[form.n_tensors :])
    if step == MOST_STEPS:
        queue.has_lost = 1
        release(pending)
        return
    rows = nb.carray(pointer(form.rows), (MOST_STEPS, form.n_rows, N_COLUMNS), np.int64)[step]
    outcome, spent_ns, n_bytes = _read_reports(form, context)
    is_broken = _copy_rows(form, rows) or outcome == LEFT_OUT_BROKEN
    if is_broken and outcome == LEFT_OUT:
        outcome = LEFT_OUT_BROKEN
    _copy_numbers(form, context, step)
    n_samples = np.int64(-1)
    if form.first_input >= 0 and n_axes(pending[form.first_input]) > 0:
        n_samples = axis(pending[form.first_input], 0)
    tensors = nb.carray(pointer(form.tensors), (MOST_STEPS, form.n_tensors), np.int64)[step]
    n_held_bytes = 0
    for i in range(form.n_tensors):
        tensors[i], pending[i] = pending[i], 0
        if tensors[i] != 0:
            n_held_bytes += byte_size(tensors[i])
    breaks = is_broken and queue.watches != 0
    if form.n_whole_steps == 1 and not breaks:
        n_held_bytes -= _thin(form, step)  # nobody will ask for more of it
    elif 1 < form.n_whole_steps <= step:
        n_held_bytes -= _thin(form, step - form.n_whole_steps)
    ended_ns = now_ns()
    nb.carray(pointer(form.outcomes), (MOST_STEPS,), np.int64)[step] = outcome
    nb.carray(pointer(form.sizes), (MOST_STEPS,), np.int64)[step] = n_bytes
    nb.carray(pointer(form.n_samples), (MOST_STEPS,), np.int64)[step] = n_samples
    nb.carray(pointer(form.ended_ns), (MOST_STEPS,), np.int64)[step] = ended_ns
    if queue.n_to_skip > 0:
        queue.n_to_skip -= 1
    elif queue.n_to_measure > 0:
        queue.n_to_measure -= 1
    queue.form = form.id
    queue.n_steps = step + 1
    queue.n_bytes += n_held_bytes
    queue.spent_ns += spent_ns + ended_ns - began_ns + form.n_places * _TENSOR_NS
    if (
        breaks
        or queue.n_steps == MOST_STEPS
        or queue.n_bytes >= MOST_BYTES
        or ended_ns - queue.since_ns >= LONGEST_WAIT_NS
    ):
        _take_steps(queue.id)


def register() -> None:
    """Make them known to TensorFlow, once: a second time would end the process.

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
        for name, operation in ((COLLECT, _collect_operation), (MEASURE, _measure_operation)):
            register_operation(name, ["values: T"], ["report: int64"], operation.address, False)
        register_operation(HAND_OVER, ["values: T"], [], _hand_over_operation.address, True)
    except MissingInterfaceError as error:
        return error
    return None
