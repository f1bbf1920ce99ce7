"""Keras on TensorFlow: a train function that also hands each step's tensors to a session.

The step's own tensors are handed over (`tensorflow_handover.py`). Under XLA host calls are
impossible and every further output changes how the step is fused, so there only what can be seen
from outside of the compiled step is tapped.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import tensorflow as tf

from deeplocalize.traces.header import Header
from deeplocalize.traces.schema import Kind

from ..keras_model import PlacedLayer, describe_model, placed_layers
from ..session import Session
from . import Detach, OnLeft, tensorflow_device
from .closed_step import RunningLoss, tap_hyperparameters, unrecorded
from .replicas import Replicas
from .step_tensors import StepTensors, tap_batch, tap_loss, tap_metrics
from .tensorflow_c_api import MissingInterfaceError
from .tensorflow_graph import reason_not_to_observe
from .tensorflow_handover import SHARED, Queue, emit, replica
from .tensorflow_replay import StepReplay
from .tensorflow_softmax import replace_unused_softmax
from .tensorflow_sums import leaving_sums
from .tensorflow_tap import StepTap, new_tensors
from .train_function import take_over

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
    queue = _queue_of(model, session)
    train_step = model.train_step
    jit_compile = bool(model.jit_compile) and not model.run_eagerly

    if jit_compile:
        compiled = tf.function(train_step, jit_compile=True, reduce_retracing=True)

        def tapped_step(data: Any) -> Any:
            replay = _step_replay(tap, train_step, compiled, data, session)
            logs, tensors = _run_outside(tap, compiled, data, model, replay)
            emit(tensors, session, replicas, replay, queue=queue)
            return logs

    else:
        on_device = not model.run_eagerly and tensorflow_device.reduces_on_device(session)

        def tapped_step(data: Any) -> Any:
            running = RunningLoss(model)
            logs, tensors = tap.run(train_step, data)
            _replace_loss(tensors, running)
            with tensors.noting_failure():
                replace_unused_softmax(tensors, logs)
            emit(tensors, session, replicas, on_device=on_device, queue=queue)
            return logs

    if jit_compile:
        model.jit_compile = False
    try:
        function: Callable[[Any], Any] = model._make_function(tapped_step)
    finally:
        if jit_compile:
            model.jit_compile = True
    if not model.run_eagerly:
        function = leaving_sums(function)
    return function if queue is None else queue.taking_within(function)


def _queue_of(model: Any, session: Session) -> Queue | None:
    """Where the steps of a session wait, if they may and this TensorFlow has what it takes."""
    is_synchronous = tf.config.experimental.get_synchronous_execution()
    if not (session.may_wait and is_synchronous) or tensorflow_device.has_gpu():
        return None
    if model.run_eagerly or tf.config.functions_run_eagerly():
        return None
    if _is_distributed(model):
        return None  # each replica is traced, and runs, in a thread of its own
    try:
        from .tensorflow_queue import StepQueue

        return StepQueue(session)
    except MissingInterfaceError:
        return None


def _is_distributed(model: Any) -> bool:
    """Whether a strategy other than the default one runs the steps, be it on one device."""
    with model.distribute_strategy.scope():
        return bool(tf.distribute.has_strategy())


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
    if replica()[1] > 1:
        session.refuse_replay(SHARED)
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
