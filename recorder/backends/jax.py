"""Keras on JAX: a train function that also hands each step's tensors to a session.

An eager step is observed while it runs. Keras compiles steps by default, though, and what XLA
has compiled is left alone: what happens within comes from a copy (`jax_replay.py`), everything
else from the values before and after the step itself.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from deeplocalize.traces.header import Header

from ..keras_model import PlacedLayer, describe_model, placed_layers
from ..session import Session
from . import Detach, OnLeft
from .jax_patches import StepPatches
from .jax_replay import TENSOR_TYPES, Replay
from .overriding import overridden
from .step_handover import StepHandover
from .step_tensors import StepTensors, tap_batch, tap_loss, tap_metrics
from .step_weights import Read, tap_state, tap_weights, weights_before
from .train_function import TrainFunction, take_over

Step = Callable[[Any, Any], tuple[Any, Any]]
"""``(state, data) -> (logs, state)``"""


def describe(model: Any) -> Header:
    """What is known of a compiled model before its first step."""
    header = describe_model(model)
    versions = {**header.versions, "jax": jax.__version__}
    execution = "xla" if _is_compiled(model) else "eager"
    return replace(header, versions=versions, execution=execution)


def attach(model: Any, session: Session, on_left: OnLeft) -> Detach:
    """Take over the model's train function for the length of the running ``fit``."""
    if session.replays:
        session.refuse_replay("a compiled step of JAX's is replayed anyway, without a check")
    tapped = _tapped_train_function(model, placed_layers(model), session)
    return take_over(model, tapped, session, on_left)


def _is_compiled(model: Any) -> bool:
    return bool(model.jit_compile) and not model.run_eagerly


def _tapped_train_function(
    model: Any, placed: Sequence[PlacedLayer], session: Session
) -> TrainFunction:
    """What Keras makes of the model's step, with every step of an execution recorded."""
    original = model.train_function

    def make(make_function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda step: make_function(_tapped_step(model, placed, session, step))

    try:
        with overridden(model, "_make_function", make):
            model.make_train_function(force=True)
        tapped: TrainFunction = model.train_function
    finally:
        model.train_function = original
    return tapped


def _tapped_step(model: Any, placed: Sequence[PlacedLayer], session: Session, step: Step) -> Step:
    is_compiled = _is_compiled(model)
    run = _run_compiled(model, placed) if is_compiled else _run_eagerly(model, placed)
    hand_over = StepHandover(session, np.asarray)
    weights = _Weights(model)

    def tapped_step(state: Any, data: Any) -> tuple[Any, Any]:
        if not session.is_open:
            return step(state, data)
        if is_compiled and not session.is_due():
            return watched_step(state, data)
        return full_step(state, data, step)

    def watched_step(state: Any, data: Any) -> tuple[Any, Any]:
        """A step that nobody wants to look into, unless it breaks."""
        kept = _copied(state) if session.watches else None
        losses = _RunningLoss(model, state)
        result = logs, after = step(state, data)
        if kept is not None and not _is_finite((logs.get("loss", ()), *after[:2])):
            # Its own state is gone: what was kept of it tells what happened within.
            return full_step(kept, data, lambda *_: result)
        tensors = StepTensors(TENSOR_TYPES)
        with tensors.noting_failure():
            tap_batch(tensors, data)
            tap_metrics(tensors, logs)
            losses.tap(tensors, after)
            tap_loss(tensors, tensors.loss)
        hand_over(tensors)
        return result

    def full_step(state: Any, data: Any, step: Step) -> tuple[Any, Any]:
        began, step_s = time.perf_counter(), 0.0

        def timed_step(state: Any, data: Any) -> tuple[Any, Any]:
            # Nothing is lost by waiting: JAX computes one after the other, and all is read at once.
            nonlocal step_s
            with tensors.noting_failure():
                jax.block_until_ready([t.value for t in tensors.tapped])
            step_began = time.perf_counter()
            result = jax.block_until_ready(step(state, data))
            step_s = time.perf_counter() - step_began
            return result  # type: ignore[no-any-return]

        tensors = StepTensors(TENSOR_TYPES)
        with tensors.noting_failure():
            tap_batch(tensors, data)
            before = weights_before(placed, weights.of(state))
        logs, state = run(tensors, timed_step, state, data)
        with tensors.noting_failure():
            tap_metrics(tensors, logs)
            tap_loss(tensors, tensors.loss)
            if tensors.failure is None:
                read = weights.of(state)
                tap_weights(tensors, before, read)
                tap_state(tensors, placed, read)
        spent_s = time.perf_counter() - began - step_s
        hand_over(tensors)
        session.budget.spend(spent_s)
        return logs, state

    return tapped_step


def _copy(state: Any) -> Any:
    return jax.tree.map(jnp.copy, state)


_copied: Callable[[Any], Any] = jax.jit(_copy)
"""The same on the device, which outlives a step that is given the state's memory."""


def _is_finite(tree: Any) -> bool:
    floats = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return bool(_are_finite(floats))


def _all_finite(arrays: list[Any]) -> Any:
    return jnp.all(jnp.stack([jnp.isfinite(x).all() for x in arrays]))


_are_finite: Callable[[list[Any]], Any] = jax.jit(_all_finite)


class _RunningLoss:
    """The loss of a batch from Keras's running sums, as `RunningLoss` is elsewhere."""

    def __init__(self, model: Any, state: Any) -> None:
        tracker = model._loss_tracker
        variables = [id(v) for v in model.metrics_variables]
        wanted = [id(v) for v in (getattr(tracker, "total", None), getattr(tracker, "count", None))]
        self._at = [variables.index(v) for v in wanted if v in variables]
        self._before = self._sums(state)

    def tap(self, tensors: StepTensors, state: Any) -> None:
        before, after = self._before, self._sums(state)
        if len(after) == 2:
            n = after[1] - before[1]
            tensors.is_loss_known = bool(np.isfinite(before[0]) and n > 0)
            tensors.loss = np.float32((after[0] - before[0]) / n if n else np.nan)

    def _sums(self, state: Any) -> list[float]:
        return [float(state[3][i]) for i in self._at]


Run = Callable[[StepTensors, Step, Any, Any], tuple[Any, Any]]
"""Runs a step on a state and data and stashes what happens within it."""


def _run_eagerly(model: Any, placed: Sequence[PlacedLayer]) -> Run:
    def run(tensors: StepTensors, step: Step, state: Any, data: Any) -> tuple[Any, Any]:
        patches = StepPatches(model, placed, tensors, data, state)
        with patches.applied():
            result = step(state, data)
        with tensors.noting_failure():
            patches.end_step()
            patches.leave_out_inner_calls()
        return result

    return run


def _run_compiled(model: Any, placed: Sequence[PlacedLayer]) -> Run:
    replay = Replay(model, placed)

    def run(tensors: StepTensors, step: Step, state: Any, data: Any) -> tuple[Any, Any]:
        # First, for the step itself gives the memory of its state away. What is wrong in the
        # user's own code the step will raise itself.
        with tensors.noting_failure():
            replay(tensors, state, data)
        return step(state, data)

    return run


class _Weights:
    """Copies of variables, for the next step gives their memory away.

    What a step leaves is what the next one begins with, and is copied once.
    """

    def __init__(self, model: Any) -> None:
        self._variables = model.trainable_variables, model.non_trainable_variables
        self._copies: dict[int, tuple[Any, NDArray[Any]]] = {}

    def of(self, state: Any) -> Read:
        """Reads variables as a step's state has them."""
        values = {
            id(variable): value
            for variables, values in zip(self._variables, state, strict=False)
            for variable, value in zip(variables, values, strict=True)
        }

        def read(variable: Any) -> NDArray[Any]:
            value = values[id(variable)]
            known, copy = self._copies.get(id(variable), (None, None))
            if copy is None or known is not value:
                copy = np.array(value)
                self._copies[id(variable)] = value, copy
            return copy

        return read
