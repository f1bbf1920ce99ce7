"""Hand the tensors of a TensorFlow step over to a session, from within its graph.

Statistics are taken in one host call at the end of every step, on the very tensors that the
step computed. Where exact recording is asked for, the call also says whether a branch behind it is
to replay what the step does not hand over (`tensorflow_repetition.py`, `tensorflow_replay.py`).
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from deeplocalize.traces.header import Series, Unrecorded
from deeplocalize.traces.schema import Kind

from ..replay_check import n_differing
from ..session import Session
from ..step_values import StepValues
from .replicas import Part, Replicas, reduction_of
from .step_tensors import PER_SAMPLE, StepTensors, Tapped
from .tensorflow_graph import reason_not_to_observe
from .tensorflow_repetition import Repetition
from .tensorflow_replay import StepReplay

SHARED = "a step that several replicas share is not replayed"
"""Why there is no exact recording of a distributed training."""


def emit(
    tensors: StepTensors, session: Session, replicas: Replicas, replay: StepReplay | None = None
) -> None:
    """End the step that is being traced, or run eagerly, with a host call; never raises.

    Parameters
    ----------
    replicas
        Collects the parts where several replicas share the step.
    replay
        The copy of a compiled step; None where there is none.
    """
    with tensors.noting_failure():
        if tensors.failure is None:
            _emit_tensors(tensors, session, replicas, replay)
    if tensors.failure is not None:
        session.failed(tensors.failure)


def replica() -> tuple[int, int]:
    """Which replica of the step this is, and of how many."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return 0, 1
    return int(tf.get_static_value(context.replica_id_in_sync_group)), context.num_replicas_in_sync


def _emit_tensors(
    tensors: StepTensors, session: Session, replicas: Replicas, step_replay: StepReplay | None
) -> None:
    index, n_replicas = replica()
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
    plan = session.plan(_series(tapped, replayed, owners, n_replicas > 1), tensors.missed)
    nan = tf.constant(float("nan"))
    learning_rate = nan if tensors.learning_rate is None else tensors.learning_rate
    loss_scale = tf.constant(1.0) if tensors.loss_scale is None else tensors.loss_scale
    is_loss_known = tf.constant(True) if tensors.is_loss_known is None else tensors.is_loss_known

    # A weight is both observed and subtracted from its successor: hand it over once.
    unique: dict[int, int] = {}
    handed: list[Any] = [learning_rate, loss_scale, is_loss_known]
    for value in (v for t in tapped for v in (t.value, t.minus) if v is not None):
        if id(value) not in unique:
            unique[id(value)] = len(handed)
            handed.append(value)
    where = [unique[id(t.value)] for t in tapped]
    minus_where = [None if t.minus is None else unique[id(t.minus)] for t in tapped]

    reductions = [reduction_of(t, tensors.is_loss_known is not None) for t in tapped]

    def hand_over(*arrays: Any) -> Any:
        values = StepValues(
            [arrays[i] for i in where],
            [None if i is None else arrays[i] for i in minus_where],
            float(arrays[0]),
            float(arrays[1]),
            bool(arrays[2]),
        )
        if n_replicas == 1:
            return np.bool_(session.step(plan, values))
        replicas.hand_over(Part(plan, values), reductions, index, n_replicas)
        return np.bool_(False)

    if tf.executing_eagerly():
        hand_over(*(np.asarray(value) for value in handed))
        return
    # The arrays are views of TensorFlow's own buffers. (py_function would do the same, but sets up
    # a gradient tape for every tensor.)
    wants_replay = tf.numpy_function(hand_over, handed, tf.bool)
    if replay is not None and replayed:
        wants_replay.set_shape(())
        tf.cond(wants_replay, functools.partial(_replay, replay, session), lambda: tf.constant(0))


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


def _series(
    tapped: Sequence[Tapped],
    replayed: Sequence[Tapped],
    owners: Sequence[int | None],
    has_replicas: bool,
) -> list[Series]:
    """All series of a step, in the order of execution; the checks of a replay come last."""
    are_replayed = {id(one) for one in replayed}
    series = [
        Series(
            t.kind,
            k,
            t.layer,
            t.call,
            t.tensor,
            _shape(t, has_replicas),
            t.value.dtype.name,
            id(t) in are_replayed,
        )
        for k, t in enumerate(sorted((*tapped, *replayed), key=lambda t: t.order))
    ]
    checks = [
        Series(Kind.REPLAY_ERROR, len(series) + k, owner, 0, "", (None,), "int64", replayed=True)
        for k, owner in enumerate(owners)
    ]
    return [*series, *checks]


def _shape(tapped: Tapped, has_replicas: bool) -> tuple[int | None, ...]:
    shape = tuple(tapped.value.shape)
    if shape and has_replicas and (tapped.kind in PER_SAMPLE or tapped.is_rows):
        return (None, *shape[1:])  # a replica sees a part of the batch
    return shape
