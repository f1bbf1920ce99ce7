"""Keras on PyTorch: a train function that also hands each step's tensors to a session.

PyTorch runs step by step, so everything can be observed within the very step that runs. A
step that ``torch.compile`` has compiled (``jit_compile=True``) is left closed: there, only what can
be seen from outside of it is tapped.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from numpy.typing import NDArray

from deeplocalize.traces.header import Header

from ..keras_model import PlacedLayer, describe_model, placed_layers
from ..session import Session
from . import Detach, OnLeft
from .closed_step import RunningLoss, tap_hyperparameters, unrecorded
from .step_handover import StepHandover
from .step_tensors import StepTensors, tap_batch, tap_loss, tap_metrics
from .step_weights import tap_state, tap_weights, weights_before
from .torch_patches import StepPatches
from .train_function import take_over

_COMPILED = "it lives inside the step that torch.compile compiles"


def describe(model: Any) -> Header:
    """What is known of a compiled model before its first step."""
    header = describe_model(model)
    versions = {**header.versions, "torch": torch.__version__}
    execution = "compiled" if _is_compiled(model) else "eager"
    return replace(header, versions=versions, execution=execution)


def attach(model: Any, session: Session, on_left: OnLeft) -> Detach:
    """Take over the model's train function for the length of the running ``fit``."""
    if session.replays:
        session.refuse_replay("PyTorch steps are not replayed; uncompiled ones are seen whole")
    tapped = _tapped_train_function(model, placed_layers(model), session)
    return take_over(model, tapped, session, on_left)


def _is_compiled(model: Any) -> bool:
    return bool(model.jit_compile) and not model.run_eagerly


def _tapped_train_function(
    model: Any, placed: Sequence[PlacedLayer], session: Session
) -> Callable[[Any], Any]:
    original = model.train_function
    run = _run_outside if _is_compiled(model) else _run_inside
    hand_over = StepHandover(session, _array_of)
    weights = _Weights()

    def train_function(data: Any) -> Any:
        if not session.is_open:
            return original(data)
        tensors = StepTensors((torch.Tensor,))
        with tensors.noting_failure():
            tap_batch(tensors, data[0])
            before = weights_before(placed, weights.read)
        logs = run(model, placed, tensors, original, data)
        with tensors.noting_failure():
            tap_metrics(tensors, logs)
            tap_loss(tensors, tensors.loss)
            if tensors.failure is None:
                tap_weights(tensors, before, weights.read)
                tap_state(tensors, placed, weights.read)
        hand_over(tensors)
        return logs

    return train_function


def _run_inside(
    model: Any,
    placed: Sequence[PlacedLayer],
    tensors: StepTensors,
    original: Callable[[Any], Any],
    data: Any,
) -> Any:
    """A step that runs in Python, with what is seen within it."""
    patches = StepPatches(model, placed, tensors, data)
    with patches.applied():
        logs = original(data)
    with tensors.noting_failure():
        patches.end_step()
        patches.leave_out_inner_calls()
    return logs


def _run_outside(
    model: Any,
    placed: Sequence[PlacedLayer],
    tensors: StepTensors,
    original: Callable[[Any], Any],
    data: Any,
) -> Any:
    """A compiled step, with what can be read before and after it."""
    running = RunningLoss(model)
    logs = original(data)
    with tensors.noting_failure():
        running.tap(tensors)
        tap_hyperparameters(tensors, model)
        tensors.missed += unrecorded(_COMPILED)
    return logs


class _Weights:
    """Copies of variables, for the optimizer updates them in place.

    What a step leaves is what the next one begins with, and is copied once.
    """

    def __init__(self) -> None:
        self._copies: dict[int, tuple[int, torch.Tensor]] = {}

    def read(self, variable: Any) -> torch.Tensor:
        value: torch.Tensor = variable._value
        version, copy = self._copies.get(id(variable), (-1, value))
        if version != value._version:
            copy = value.detach().clone()
            self._copies[id(variable)] = value._version, copy
        return copy


def _array_of(tensor: torch.Tensor) -> NDArray[Any]:
    tensor = tensor.detach().cpu()
    if tensor.dtype is torch.bfloat16:  # unknown to NumPy; float32 holds all of it
        tensor = tensor.float()
    array: NDArray[Any] = tensor.numpy()
    return array
