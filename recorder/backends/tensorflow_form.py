"""One form of the step: its operations in the graph, and the memory in which its steps wait."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from deeplocalize.traces.schema import Kind

from ..kernel import ELEMENTS_WORTH_A_THREAD, N_THREADS
from ..measurement import UNIT_KINDS, WATCHED_KINDS
from ..row import N_COLUMNS
from ..row_kernels import ALONE, FLOAT32, FLOAT64, INT64, READ_BESIDE
from .step_tensors import Tapped
from .tensorflow_c_api import add_operation, new_status
from .tensorflow_calls import release
from .tensorflow_operations import COLLECT, HAND_OVER, MEASURE
from .tensorflow_records import (
    FORM,
    GROUP,
    LAYOUT,
    MOST_STEPS,
    PART,
    lasting,
    record,
)
from .tensorflow_step import Distinct, TracedStep
from .tensorflow_waiting import WaitingSteps

# What a batch counts for whose size TensorFlow leaves open, and how many elements are collected by
# one operation, chosen: it lets go of the first once it has the last. Those that are held until the
# end of the step, all of them, are as well collected by few.
_BATCH_SIZE = 32
_GROUP_ELEMENTS = 1 << 18
_HELD_GROUP_ELEMENTS = 1 << 22

# What is looked at where the budget leaves out a step. Gradients of weights are not: what is not
# finite in them is so in the weights after the step, unless those do not receive it. Metrics are
# single numbers.
_LOOKED_AT = frozenset(WATCHED_KINDS) - {Kind.WEIGHT_GRADIENT} | {Kind.METRIC}

# What a step's row and the summary of the data are made of besides statistics.
_KEPT = frozenset({Kind.INPUT, Kind.LABEL, Kind.SAMPLE_WEIGHT, Kind.LOSS})


class WaitingForm:
    """A form of the step whose steps wait.

    Parameters
    ----------
    step
        The step that is being traced.
    queue
        The record of the queue.
    number
        Of this form in the queue.
    """

    def __init__(self, step: TracedStep, queue: NDArray[Any], number: int) -> None:
        self.plan = step.plan
        self._step = step
        self._distinct = distinct = Distinct(step.tapped)
        # Each tensor has a place: those that are held, then those that are only read.
        readable: dict[tuple[int, int], tuple[Tapped, int]] = {}
        for one in step.tapped:
            readable.setdefault((id(one.value), id(one.minus)), _readable(one))
        self._readable = [readable[id(one.value), id(one.minus)] for one in step.tapped]
        read = Distinct([one for one, _ in self._readable]).tensors
        tensors = {id(tensor): tensor for tensor in (*distinct.tensors, *read)}
        self._places = {key: place for place, key in enumerate(tensors)}
        self._layout = lasting(self._laid_out())
        n_rows, n_tensors = len(step.tapped), len(distinct.tensors)
        self._is_kept = np.zeros(n_tensors, np.int64)
        self._is_kept[list(self._kept_places())] = 1
        self._pending = np.zeros(len(tensors), np.int64)
        self._current_rows = np.zeros((n_rows, N_COLUMNS), np.int64)
        self.waiting = WaitingSteps(step, distinct)
        self._record = record(
            FORM,
            queue=queue.ctypes.data,
            id=number,
            status=new_status(),
            n_numbers=len(step.numbers) + 1,
            n_tensors=n_tensors,
            n_places=len(tensors),
            n_rows=n_rows,
            first_input=self._first_input(),
            layout=self._layout.ctypes.data,
            is_kept=self._is_kept.ctypes.data,
            pending=self._pending.ctypes.data,
            current_rows=self._current_rows.ctypes.data,
            **self.waiting.addresses,
        )

    @property
    def least_bytes(self) -> int:
        """What a step's tensors take at the least, as far as that is known before one has run."""
        return sum(_n_elements(one, 1) * one.dtype.size for one in self._distinct.tensors)

    def hold(self, n_steps: int) -> None:
        """Say how many of the latest steps hold all their tensors, not just those needed anyway."""
        self._record["n_whole_steps"] = min(n_steps, MOST_STEPS)

    def end_step(self) -> None:
        """End the step that is being traced with operations that make it wait."""
        seen: set[int] = set()
        collected = [self._collect(first, end, seen) for first, end in self._groups()]
        measured_rows = set(self._layout["source"].tolist())
        n_elements = sum(
            _n_elements(self._step.tapped[row].value, _BATCH_SIZE) for row in measured_rows
        )
        n_parts = min(N_THREADS, 1 + n_elements // ELEMENTS_WORTH_A_THREAD)
        measured = [self._measure(part, n_parts, collected) for part in range(n_parts)]
        self._record["n_groups"], self._record["n_parts"] = len(collected), n_parts
        numbers = [_readable_number(number) for number in (*self._step.numbers, self._loss())]
        handed = [*collected, *measured, *numbers]
        add_operation(HAND_OVER, handed, [], self._record.ctypes.data)

    def let_go(self) -> None:
        """Hold nothing of a step that has begun."""
        release(self._pending)

    def _first_input(self) -> int:
        row = self.plan.first_input
        return -1 if row is None else self._distinct.places[row]

    def _loss(self) -> tf.Tensor:
        """The loss as a number: the first one, as rows of the trace have it."""
        if self.plan.loss is None:
            return tf.constant(float("nan"))
        loss = self._step.tapped[self.plan.loss].value
        if loss.shape.rank == 0:
            return loss
        return tf.pad(tf.reshape(loss, [-1]), [[0, 1]])[0]  # never fails, be it empty

    def _kept_places(self) -> Iterator[int]:
        """The tensors that are held even if not all are."""
        places = zip(self._distinct.places, self._distinct.places_of_minus, strict=True)
        for one, (place, place_of_minus) in zip(self._step.tapped, places, strict=True):
            if one.kind in _KEPT or one.value.dtype == tf.float64:  # see `mend_overflow`
                yield place
                if place_of_minus is not None:
                    yield place_of_minus

    def _laid_out(self) -> NDArray[Any]:
        layout = np.zeros(len(self._readable), LAYOUT)
        sources: dict[Any, int] = {}
        pairs = zip(self._step.tapped, self._readable, strict=True)
        for k, (one, (read, code)) in enumerate(pairs):
            place = self._places[id(read.value)]
            minus = -1 if read.minus is None else self._places[id(read.minus)]
            has_units = one.kind in UNIT_KINDS and one.minus is None
            source = sources.setdefault((place, minus, has_units), k)
            layout[k] = (source, place, minus, ALONE, has_units, 0, code)
            layout["is_watched"][source] |= one.kind in _LOOKED_AT
        for k in np.flatnonzero(layout["source"] == np.arange(len(layout))).tolist():
            # Taken out: what is subtracted in two differences is filled beside one of them.
            other = sources.pop((layout[k]["place_of_minus"], -1, False), None)
            if other is not None:
                layout["beside"][[k, other]] = other, READ_BESIDE
        return layout

    def _groups(self) -> Iterator[tuple[int, int]]:
        """Rows in their order, some at a time: from the first to before the end."""
        most = _HELD_GROUP_ELEMENTS if self._record["n_whole_steps"] > 0 else _GROUP_ELEMENTS
        first, n_elements = 0, 0
        for k, one in enumerate(self._step.tapped):
            size = _n_elements(one.value, _BATCH_SIZE)
            if k > first and n_elements + size > most:
                yield first, k
                first, n_elements = k, 0
            n_elements += size
        if self._step.tapped:
            yield first, len(self._step.tapped)

    def _collect(self, first: int, end: int, seen: set[int]) -> tf.Tensor:
        """Collect the tensors of some rows; those that no group has ``seen`` before are its own."""
        tapped = self._step.tapped
        read = Distinct([one for one, _ in self._readable[first:end]]).tensors
        # An operation whose inputs are all constant would run once and for all; the batch is not.
        handed = (*read, *Distinct(tapped[first:end]).tensors, tapped[0].value)
        tensors = {id(tensor): tensor for tensor in handed}
        is_first = np.array([key not in seen for key in tensors], np.int64)
        seen.update(tensors)
        places = np.array([self._places[key] for key in tensors], np.int64)
        group = record(
            GROUP,
            form=self._record.ctypes.data,
            status=new_status(),
            n_tensors=len(tensors),
            first_row=first,
            end_row=end,
            places=lasting(places).ctypes.data,
            is_first=lasting(is_first).ctypes.data,
        )
        return add_operation(COLLECT, list(tensors.values()), [tf.int64], group.ctypes.data)[0]

    def _measure(self, number: int, n_parts: int, collected: Sequence[tf.Tensor]) -> tf.Tensor:
        """Measure a part of the rows once all tensors are collected."""
        part = record(
            PART,
            form=self._record.ctypes.data,
            status=new_status(),
            number=number,
            n_parts=n_parts,
        )
        return add_operation(MEASURE, collected, [tf.int64], part.ctypes.data)[0]


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


def _n_elements(tensor: tf.Tensor, n_if_unknown: int) -> int:
    """``n_if_unknown``: what an axis counts for whose size TensorFlow leaves open."""
    return math.prod(n_if_unknown if n is None else n for n in tensor.shape or ())
