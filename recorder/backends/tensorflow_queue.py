"""Steps that wait within TensorFlow until Python takes several at once.

Python is what costs most in a small step: it takes several times as long between two steps as it
does when it has just run. So operations without Python (`tensorflow_operations.py`) end each step,
and one call records some of them. While steps go on none waits long, and the first that is not
finite does not wait at all.
"""

import contextlib
import itertools
import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from deeplocalize.traces.schema import Kind

from ..kernel import mend_overflow
from ..measurement import UNIT_KINDS
from ..row import N_COLUMNS
from ..row_kernels import FLOAT32, FLOAT64, INT64
from ..session import Session
from ..step_values import StepValues
from ..warning import RefusalError
from .step_tensors import Tapped
from .tensorflow_c_api import add_operation, library, new_status
from .tensorflow_held import Chosen, HeldTensors
from .tensorflow_operations import (
    FORM,
    GROUP,
    HAND_OVER,
    LAYOUT,
    LEFT_OUT,
    MEASURED,
    MOST_STEPS,
    QUEUE,
    STATISTICS,
    register,
    takers,
)
from .tensorflow_step import Distinct, TracedStep, numbers_of
from .train_function import TrainFunction

# What a batch counts for whose size TensorFlow leaves open, and how many elements are read by one
# operation: enough to be worth one, few enough for several to run beside each other.
_BATCH_SIZE = 32
_GROUP_ELEMENTS = 1 << 18

_NO_LIMIT_NS = 1 << 62

# What is not finite in them is so in the weights after the step, unless those do not receive it;
# and the weights before a step are those after the one before.
_SEEN_LATER = frozenset({Kind.WEIGHT, Kind.WEIGHT_GRADIENT})

# TensorFlow may run an operation as long as it keeps its graph, which nobody tells: the records of
# operations are never freed. They take some bytes for each series.
_records: list[NDArray[Any]] = []
_ids = itertools.count()


class LostStepError(RefusalError):
    """Steps were not taken in time, for Python was interrupted while it took some."""


class StepQueue:
    """The steps of one session that wait within TensorFlow.

    Parameters
    ----------
    session
        Takes them: at least when it is asked for anything that depends on them.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._forms: list[_Form] = []
        register()
        self._id = next(_ids)
        self._array = _record(QUEUE, id=self._id, is_open=1, watches=1, left_ns=self._left_ns())
        self._record = self._array[0]
        self._raised: BaseException | None = None
        self._lock = threading.RLock()
        self._taker: int | None = None
        takers[self._id] = self._take_within_step
        session.take_from(self)

    def end_step(self, step: TracedStep) -> None:
        """End the step that is being traced with operations that put it into this queue."""
        rows = [self._rows(group) for group in _groups(step.tapped)]
        distinct = Distinct(step.tapped)
        numbers = [_readable_number(number) for number in step.numbers]
        form = _Form(step, distinct, self._array, len(self._forms), len(rows))
        self._forms.append(form)
        add_operation(HAND_OVER, [*rows, *numbers, *distinct.tensors], [], form.address)

    def taking_within(self, train_function: TrainFunction) -> TrainFunction:
        """A train function whose steps come here; another thread takes none while they run."""

        def train(data: Any) -> Any:
            with self._lock:
                try:
                    return train_function(data)
                finally:
                    self._raise_interrupt()

        return train

    def take(self) -> None:
        """Have the session record all steps that wait."""
        with self._undisturbed():
            self._take()

    def _take(self) -> None:
        record, n = self._record, int(self._record["n_steps"])
        if n == 0:
            return
        record["n_steps"] = record["n_bytes"] = 0
        self._session.budget.spend(record["spent_ns"] / 1e9)
        record["spent_ns"] = 0
        with self._session.budget.spending():
            form = self._forms[record["form"]]
            for values, age_s in form.steps(n, bool(record["watches"])):
                self._session.step(form.plan, values, age_s)
        record["left_ns"] = self._left_ns()
        record["watches"] = self._session.watches
        record["is_open"] = self._session.takes_steps
        record["since_ns"] = library().TF_NowNanos()
        if record["has_lost"]:
            record["has_lost"] = 0
            raise LostStepError("a step found no room beside those that wait to be recorded")

    def _left_ns(self) -> int:
        return int(min(_NO_LIMIT_NS, self._session.budget.left_s() * 1e9))

    def close(self) -> None:
        """Take no more steps."""
        with self._undisturbed():
            self._record["is_open"] = 0
            takers.pop(self._id, None)
            self._forms.clear()

    def _undisturbed(self) -> contextlib.AbstractContextManager[Any]:
        # A step that has its queue taken waits for that, and holds the lock.
        if self._taker == threading.get_ident():
            return contextlib.nullcontext()
        return self._lock

    def _raise_interrupt(self) -> None:
        """Raise what interrupted Python while it took steps, where it could not be raised."""
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised

    def _take_within_step(self) -> None:
        self._taker = threading.get_ident()
        try:
            self._take()
        except Exception as error:  # the outermost tap: it must not reach the training
            self._session.failed(error)
        except BaseException as error:  # Ctrl-C: this is C code's callback, and would swallow it
            self._raised = error
        finally:
            self._taker = None

    def _rows(self, group: Sequence[Tapped]) -> tf.Tensor:
        """Statistics of some tensors, in their order."""
        readable, codes = zip(*(_readable(one) for one in group), strict=True)
        distinct = Distinct(readable)
        layout = np.zeros(len(group), LAYOUT)
        layout["tensor"] = distinct.places
        layout["minus"] = [-1 if place is None else place for place in distinct.places_of_minus]
        layout["is_watched"] = [one.kind not in _SEEN_LATER for one in group]
        layout["has_units"] = [one.kind in UNIT_KINDS and one.minus is None for one in group]
        layout["code"] = codes
        _records.append(layout)
        record = _record(
            GROUP,
            queue=self._array.ctypes.data,
            status=new_status(),
            n_tensors=len(distinct.tensors),
            n_rows=len(group),
            layout=layout.ctypes.data,
        )
        return add_operation(STATISTICS, distinct.tensors, [tf.int64], record.ctypes.data)[0]


class _Form:
    """A form of the step: its plan, and the memory in which its steps wait."""

    def __init__(
        self, step: TracedStep, distinct: Distinct, queue: NDArray[Any], form_id: int, n_groups: int
    ) -> None:
        n_rows, n_tensors = len(step.tapped), len(distinct.tensors)
        n_numbers = len(step.numbers)
        self.plan = step.plan
        self._distinct = distinct
        self._float64 = [k for k, one in enumerate(step.tapped) if one.value.dtype == tf.float64]
        self._outcomes = np.zeros(MOST_STEPS, np.int64)
        self._rows = np.zeros((MOST_STEPS, n_rows, N_COLUMNS), np.int64)
        self._numbers = np.zeros((MOST_STEPS, n_numbers))
        self._tensors = np.zeros((MOST_STEPS, n_tensors), np.int64)
        self._sizes = np.zeros(MOST_STEPS, np.int64)
        self._ended_ns = np.zeros(MOST_STEPS, np.int64)
        record = _record(
            FORM,
            queue=queue.ctypes.data,
            id=form_id,
            status=new_status(),
            n_groups=n_groups,
            n_numbers=n_numbers,
            n_tensors=n_tensors,
            n_rows=n_rows,
            outcomes=self._outcomes.ctypes.data,
            rows=self._rows.ctypes.data,
            numbers=self._numbers.ctypes.data,
            tensors=self._tensors.ctypes.data,
            sizes=self._sizes.ctypes.data,
            ended_ns=self._ended_ns.ctypes.data,
        )
        self.address: int = record.ctypes.data

    def steps(self, n: int, watches: bool) -> Iterator[tuple[StepValues, float]]:
        """The first steps that wait, and how many seconds ago each of them ended.

        ``watches``: whether a step that breaks is wanted though the budget left it out.
        """
        # Copies: while these are looked at, the memory is used for further steps.
        held = [HeldTensors(step.copy()) for step in self._tensors[:n]]
        rows, ended_ns = self._rows[:n].copy(), self._ended_ns[:n].tolist()
        numbers, sizes = self._numbers[:n].tolist(), self._sizes[:n].tolist()
        outcomes = self._outcomes[:n].tolist()
        for k in range(n):
            values = Chosen(held[k], self._distinct.places)
            minus = Chosen(held[k], self._distinct.places_of_minus)
            others: dict[str, Any] = numbers_of(numbers[k])
            others |= {"known_bytes": sizes[k], "is_allowed": True}
            if outcomes[k] == MEASURED:
                others["rows"] = rows[k]
                for row in self._float64:
                    mend_overflow(values[row], minus[row], rows[k, row])
            elif outcomes[k] == LEFT_OUT or not watches:
                others |= {"is_allowed": False, "is_finite": True}
            age_ns = library().TF_NowNanos() - ended_ns[k]
            yield StepValues(values, minus, **others), max(0, age_ns) / 1e9


def _groups(tapped: Sequence[Tapped]) -> Iterator[list[Tapped]]:
    """Tensors in their order, some at a time: TensorFlow runs operations beside each other."""
    group: list[Tapped] = []
    n_elements = 0
    for one in tapped:
        size = math.prod(_BATCH_SIZE if n is None else n for n in one.value.shape or ())
        if group and n_elements + size > _GROUP_ELEMENTS:
            yield group
            group, n_elements = [], 0
        group.append(one)
        n_elements += size
    if group:
        yield group


def _readable(one: Tapped) -> tuple[Tapped, int]:
    """A tensor in a type that statistics are taken of, and the type."""
    if one.value.dtype == tf.float32:
        return one, FLOAT32
    value = one.value if one.minus is None else one.value - one.minus
    code = FLOAT32
    if value.dtype == tf.float64:
        code = FLOAT64
    elif value.dtype.is_integer or value.dtype.is_bool:
        value, code = tf.cast(value, tf.int64), INT64
    else:
        value = tf.cast(value, tf.float32)
    return replace(one, value=value, minus=None), code


def _readable_number(number: tf.Tensor) -> tf.Tensor:
    if number.dtype in (tf.bool, tf.float32, tf.float64):
        return number
    return tf.cast(number, tf.float32)


def _record(dtype: np.dtype[Any], **fields: int) -> NDArray[Any]:
    """A record that stays where it is, (1,)."""
    record = np.zeros(1, dtype)
    for name, value in fields.items():
        record[name] = value
    _records.append(record)
    return record
