"""Keras on TensorFlow: a train function that also hands each step's tensors to a session.

Statistics are taken in one host call at the end of every step, on the very tensors that the
step computed. Under XLA host calls are impossible and every further output changes how the
step is fused, so there only what can be seen from outside of the compiled step is tapped.

Where exact recording is asked for, the host call also says whether a branch behind it is to
replay what the step does not hand over (`tensorflow_repetition.py`, `tensorflow_replay.py`).
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from deeplocalize.traces.header import Header, Series, Unrecorded
from deeplocalize.traces.schema import Kind

from ..keras_model import PlacedLayer, describe_model, placed_layers
from ..replay_check import n_differing
from ..session import Session
from ..step_values import StepValues
from . import Detach, OnLeft
from .closed_step import RunningLoss, tap_hyperparameters, unrecorded
from .replicas import Part, Replicas, reduction_of
from .step_tensors import PER_SAMPLE, StepTensors, Tapped, tap_batch, tap_loss, tap_metrics
from .tensorflow_graph import reason_not_to_observe
from .tensorflow_repetition import Repetition
from .tensorflow_replay import StepReplay
from .tensorflow_tap import StepTap, new_tensors
from .train_function import take_over

_REPLICAS_REASON = "a step that several replicas share is not replayed"
_XLA_REASON = "it lives inside the step that XLA compiles, where observing changes the run"


def describe(model: Any) -> Header:
    """What is known of a compiled model before its first step."""
    header = describe_model(model)
    versions = {**header.versions, "tensorflow": tf.__version__}
    return replace(header, versions=versions, execution=_execution(model))


def attach(model: Any, session: Session, on_left: OnLeft) -> Detach:
    """Take over the model's train function for the length of the running ``fit``."""
    tapped = _tapped_train_function(model, placed_layers(model), session)
    return take_over(model, tapped, session, on_left)


def _execution(model: Any) -> str:
    """How a compiled model's step runs: ``eager``, ``xla`` or ``graph``."""
    if model.run_eagerly:
        return "eager"
    return "xla" if model.jit_compile else "graph"


def _tapped_train_function(
    model: Any, placed: Sequence[PlacedLayer], session: Session
) -> Callable[[Any], Any]:
    """A replacement for ``model.train_function`` which does the same and feeds the session.

    The model itself is left as it was.
    """
    tap = StepTap(model, placed)
    replicas = Replicas(session)
    train_step = model.train_step
    jit_compile = bool(model.jit_compile) and not model.run_eagerly

    if jit_compile:
        compiled = tf.function(train_step, jit_compile=True, reduce_retracing=True)

        def tapped_step(data: Any) -> Any:
            replay = _step_replay(tap, train_step, compiled, data, session)
            logs, tensors = _run_outside(tap, compiled, data, model, replay)
            _emit(tensors, session, replicas, replay)
            return logs

    else:

        def tapped_step(data: Any) -> Any:
            running = RunningLoss(model)
            logs, tensors = tap.run(train_step, data)
            _replace_loss(tensors, running)
            _emit(tensors, session, replicas)
            return logs

    if jit_compile:
        model.jit_compile = False
    try:
        function: Callable[[Any], Any] = model._make_function(tapped_step)
    finally:
        if jit_compile:
            model.jit_compile = True
    return function


def _step_replay(
    tap: StepTap,
    train_step: Callable[[Any], Any],
    compiled: Callable[[Any], Any],
    data: Any,
    session: Session,
) -> StepReplay | None:
    """A copy of an XLA-compiled step, if exact recording is asked for and possible."""
    if not session.replays:
        return None
    if _replica()[1] > 1:
        session.refuse_replay(_REPLICAS_REASON)
        return None
    try:
        return StepReplay(tap, train_step, compiled, data)
    except Exception as error:  # the outermost tap; what is wrong with the step it will say itself
        session.refuse_replay(f"the step cannot be traced a second time: {error}")
        return None


def _run_outside(
    tap: StepTap,
    compiled: Callable[[Any], Any],
    data: Any,
    model: Any,
    replay: StepReplay | None,
) -> tuple[Any, StepTensors]:
    """An XLA-compiled step, with what can be read before and after it."""
    tensors = new_tensors()
    with tensors.noting_failure():
        tap_batch(tensors, data)
        if replay is not None:
            replay.remember()
    before = tap.read_weights(tensors)
    running = RunningLoss(model)
    logs = compiled(data)
    with tensors.noting_failure():
        tap_metrics(tensors, logs)
        running.tap(tensors)
        tap_loss(tensors, tensors.loss)
        tap.tap_weights(tensors, before)
        tap_hyperparameters(tensors, model)
        tensors.missed += unrecorded(_XLA_REASON) if replay is None else replay.missed
    return logs, tensors


def _replace_loss(tensors: StepTensors, running: RunningLoss) -> None:
    """Take the loss from outside where it cannot be observed within.

    Such as between the scalings by the number of replicas and back.
    """
    with tensors.noting_failure():
        losses = [t for t in tensors.tapped if t.kind is Kind.LOSS]
        if losses and reason_not_to_observe(losses[0].value) is not None:
            tensors.tapped.remove(losses[0])
            running.tap(tensors)
            tap_loss(tensors, tensors.loss)


def _emit(
    tensors: StepTensors, session: Session, replicas: Replicas, replay: StepReplay | None = None
) -> None:
    """End the step with a host call that hands its tensors over."""
    with tensors.noting_failure():
        if tensors.failure is None:
            _emit_tensors(tensors, session, replicas, replay)
    if tensors.failure is not None:
        session.failed(tensors.failure)


def _emit_tensors(
    tensors: StepTensors, session: Session, replicas: Replicas, step_replay: StepReplay | None
) -> None:
    replica, n_replicas = _replica()
    if n_replicas > 1:
        session.refuse_replay(_REPLICAS_REASON)
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
            lasting=True,
        )
        if n_replicas == 1:
            return np.bool_(session.step(plan, values))
        replicas.hand_over(Part(plan, values), reductions, replica, n_replicas)
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


def _replica() -> tuple[int, int]:
    """Which replica of the step this is, and of how many."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return 0, 1
    return int(tf.get_static_value(context.replica_id_in_sync_group)), context.num_replicas_in_sync
