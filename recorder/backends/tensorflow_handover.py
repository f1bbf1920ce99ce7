"""Hand the tensors of a TensorFlow step over to a session, from within its graph.

Statistics are taken of the very tensors that the step computed: without Python, by operations
behind which steps wait (`tensorflow_queue.py`), or by the device that has the tensors
(`tensorflow_device.py`), or else in one host call at the end of every step. Where exact
recording is asked for, the call also says whether a branch behind it is to replay what the step
does not hand over (`tensorflow_repetition.py`, `tensorflow_replay.py`).
"""

import functools
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from deeplocalize.traces.header import Unrecorded

from ..replay_check import n_differing
from ..session import Session
from ..step_values import StepValues
from .replicas import Part, Reduction, Replicas, reduction_of
from .step_tensors import StepTensors, Tapped
from .tensorflow_device import emit_rows
from .tensorflow_graph import reason_not_to_observe
from .tensorflow_repetition import Repetition
from .tensorflow_replay import StepReplay
from .tensorflow_step import Distinct, TracedStep, numbers_in, numbers_of, series_of
from .train_function import TrainFunction


class Queue(Protocol):
    """Where steps wait (`StepQueue`)."""

    def end_step(self, step: TracedStep) -> None:
        """End the step that is being traced with operations that put it there."""

    def taking_within(self, train_function: TrainFunction) -> TrainFunction:
        """The train function whose steps these are, so that nothing else takes any meanwhile."""


SHARED = "a step that several replicas share is not replayed"
"""Why there is no exact recording of a distributed training."""


def emit(
    tensors: StepTensors,
    session: Session,
    replicas: Replicas,
    replay: StepReplay | None = None,
    on_device: bool = False,
    queue: Queue | None = None,
) -> None:
    """End the step that is being traced, or run eagerly, by handing it over; never raises.

    Parameters
    ----------
    replicas
        Collects the parts where several replicas share the step.
    replay
        The copy of a compiled step; None where there is none.
    on_device
        Whether the device may take the statistics (`reduces_on_device`). It does where the step
        runs on it alone and is not replayed.
    queue
        Where the step is to wait for others, if it is traced (eager ones never wait).
    """
    with tensors.noting_failure():
        if tensors.failure is None:
            _emit_tensors(tensors, session, replicas, replay, on_device, queue)
    if tensors.failure is not None:
        session.failed(tensors.failure)


def replica() -> tuple[int, int]:
    """Which replica of the step this is, and of how many."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return 0, 1
    return int(tf.get_static_value(context.replica_id_in_sync_group)), context.num_replicas_in_sync


def _emit_tensors(
    tensors: StepTensors,
    session: Session,
    replicas: Replicas,
    step_replay: StepReplay | None,
    on_device: bool,
    queue: Queue | None,
) -> None:
    n_replicas = replica()[1]
    if n_replicas > 1:
        session.refuse_replay(SHARED)
    tapped: list[Tapped] = []
    left_out: list[tuple[Tapped, str]] = []
    for candidate in sorted(tensors.tapped, key=lambda t: t.order):
        reason = reason_not_to_observe(candidate.value)
        if reason is None:
            tapped.append(candidate)
        else:
            left_out.append((candidate, reason))
    replay: StepReplay | Repetition | None = step_replay
    if replay is None and left_out and session.replays:
        replay = Repetition([one for one, _ in left_out], [one.value for one in tapped])
    replayed = [] if replay is None else list(replay.tapped)
    owners = [] if replay is None else list(dict.fromkeys(replay.owners))
    tensors.missed += [
        Unrecorded(one.kind, one.layer, reason)
        for one, reason in left_out
        if not any(one is other for other in replayed)
    ]
    plan = session.plan(series_of(tapped, replayed, owners, n_replicas > 1), tensors.missed)
    step = TracedStep(plan, tapped, numbers_in(tensors))
    if on_device and n_replicas == 1 and not replayed:
        emit_rows(step, session)
        return
    if queue is not None and not tf.executing_eagerly():
        queue.end_step(step)
        return
    reductions = [reduction_of(t, tensors.is_loss_known is not None) for t in tapped]
    wants_replay = _emit_arrays(step, session, replicas, reductions)
    if wants_replay is not None and replay is not None and replayed:
        wants_replay.set_shape(())
        tf.cond(wants_replay, functools.partial(_replay, replay, session), lambda: tf.constant(0))


def _emit_arrays(
    step: TracedStep, session: Session, replicas: Replicas, reductions: Sequence[Reduction]
) -> tf.Tensor | None:
    """Hand over every tensor; gives whether the step is to be replayed, unless it runs eagerly."""
    index, n_replicas = replica()
    distinct = Distinct(step.tapped)
    n_numbers = len(step.numbers)

    def hand_over(*arrays: Any) -> Any:
        numbers = numbers_of(arrays[:n_numbers])
        values = StepValues(*distinct.spread(arrays[n_numbers:]), **numbers)
        if n_replicas == 1:
            return np.bool_(session.step(step.plan, values))
        replicas.hand_over(Part(step.plan, values), reductions, index, n_replicas)
        return np.bool_(False)

    handed = [*step.numbers, *distinct.tensors]
    if tf.executing_eagerly():
        hand_over(*(np.asarray(value) for value in handed))
        return None
    # The arrays are views of TensorFlow's own buffers. (py_function would do the same, but sets up
    # a gradient tape for every tensor.)
    return tf.numpy_function(hand_over, handed, tf.bool)


def _replay(replay: StepReplay | Repetition, session: Session) -> tf.Tensor:
    """The branch that replays, and hands over what it gave."""
    result = replay.run()
    n, n_checks, owners = len(result.values), len(result.found), replay.owners

    def hand_over(*arrays: Any) -> None:
        checks = arrays[n : n + 2 * n_checks]
        try:
            differing = n_differing(checks[:n_checks], checks[n_checks:])
        except Exception as error:  # the outermost tap: it must not reach the training
            session.failed(error)
            return
        errors = [differing[[o == owner for o in owners]] for owner in dict.fromkeys(owners)]
        session.replayed([*arrays[:n], *errors])

    handed = [*result.values, *result.found, *result.expected, *result.held]
    tf.numpy_function(hand_over, handed, [])
    return tf.constant(0)
