"""Hand over a step that a GPU computes: rows of statistics, instead of every tensor.

The device reduces its tensors (`tensorflow_statistics.py`). With their rows only the batch and the
loss are copied to the host. There the step is recorded, and found whether it is wanted in full;
only then a branch behind it copies its tensors. Those that a branch may want stay in the device's
memory until the step has ended. By default they are, therefore, what a step keeps until then
anyway; all tensors only where the options ask for some.
"""

import functools
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from deeplocalize.traces.schema import Kind

from ..measurement import UNIT_KINDS
from ..session import Session
from ..step_values import ABSENT, StepValues
from .tensorflow_statistics import statistics_rows
from .tensorflow_step import Distinct, TracedStep, numbers_of

_GIVEN = frozenset({Kind.INPUT, Kind.LABEL, Kind.SAMPLE_WEIGHT, Kind.LOSS})
"""Looked at in every step: the values of the batch are summarized, and a loss is a number."""

_KEPT = _GIVEN | {
    Kind.METRIC,
    Kind.WEIGHT,
    Kind.WEIGHT_GRADIENT,
    Kind.WEIGHT_UPDATE,
    Kind.STATE,
}
"""Held by a step until its end, whether recorded or not."""

# One program over all tensors would keep every activation until the last gradient is there; one
# for each would be a launch for each.
_TENSORS_PER_PROGRAM = 16


def has_gpu() -> bool:
    """Whether TensorFlow would place a step on a GPU."""
    return bool(tf.config.list_logical_devices("GPU"))


def reduces_on_device(session: Session) -> bool:
    """Whether statistics are to be taken on a GPU; says so where there is one that cannot.

    Eagerly only.
    """
    if not has_gpu():
        return False
    try:
        statistics_rows([tf.ones((2, 2))], [None], [True]).numpy()
    except Exception as error:  # the outermost tap: whatever XLA lacks on this machine
        session.warn(f"the GPU takes no statistics, all tensors are copied from it: {error}")
        return False
    return True


def emit_rows(step: TracedStep, session: Session) -> None:
    """End the step that is being traced with a host call that is handed rows of statistics."""
    n = len(step.tapped)
    given = [k for k, one in enumerate(step.tapped) if one.kind in _GIVEN]

    def hand_over(rows: NDArray[np.int64], *arrays: Any) -> Any:
        numbers, batch = arrays[: len(step.numbers)], arrays[len(step.numbers) :]
        tensors = [ABSENT] * n
        for k, array in zip(given, batch, strict=True):
            tensors[k] = array
        values = StepValues(
            tensors, [None] * n, **numbers_of(numbers), rows=rows, has_tensors=False
        )
        return np.bool_(session.step(step.plan, values))

    handed = [_rows(step), *step.numbers, *(step.tapped[k].value for k in given)]
    wants_tensors = tf.numpy_function(hand_over, handed, tf.bool)
    wants_tensors.set_shape(())
    supply = functools.partial(_supply, step, session)
    tf.cond(wants_tensors, supply, lambda: tf.constant(0))


def _rows(step: TracedStep) -> tf.Tensor:
    """Statistics of all tensors of a step, in their order."""
    parts = [
        statistics_rows(
            [one.value for one in group],
            [one.minus for one in group],
            [one.kind in UNIT_KINDS for one in group],
        )
        for start in range(0, max(1, len(step.tapped)), _TENSORS_PER_PROGRAM)
        for group in [step.tapped[start : start + _TENSORS_PER_PROGRAM]]
    ]
    return tf.concat(parts, axis=0)


def _supply(step: TracedStep, session: Session) -> tf.Tensor:
    """The branch that hands over the tensors themselves."""
    kept = [k for k, one in enumerate(step.tapped) if session.asks_for_tensors or one.kind in _KEPT]
    distinct = Distinct([step.tapped[k] for k in kept])

    def hand_over(*arrays: Any) -> None:
        session.supplied(kept, StepValues(*distinct.spread(arrays)))

    tf.numpy_function(hand_over, distinct.tensors, [])
    return tf.constant(0)
