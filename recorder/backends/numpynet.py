"""The NumPy network: its own taps, handed on to a session.

The series are those that Keras's training of the same model has, so that the two traces can
be compared tensor by tensor: layers before the first that learns have no gradients, and a layer
whose gradient by the output is recorded has none by the preactivation.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplocalize.traces.header import Header
from deeplocalize.traces.schema import Kind

from ..numpynet import Layer, Sequential
from ..numpynet.description import (
    current_learning_rate,
    layer_descriptions,
    loss_description,
    model_description,
    optimizer_description,
)
from ..session import Session
from ..step_collector import Key, Placed, StepCollector
from . import Detach, OnLeft


def describe(model: Sequential) -> Header:
    """What is known of a compiled network before its first step."""
    return Header(
        framework="numpynet",
        versions={"numpy": np.__version__},
        execution="eager",
        model_name=model.name,
        model_class=type(model).__name__,
        model_config=model_description(model),
        loss=loss_description(model),
        optimizer=optimizer_description(model),
        metrics=model.metrics,
        seed=model.seed,
        layers=layer_descriptions(model),
    )


def attach(model: Sequential, session: Session, on_left: OnLeft) -> Detach:
    """Tap every step of the running ``fit``, which itself tells its callbacks of exceptions."""
    if session.replays:
        session.refuse_replay("the NumPy network hands over every tensor anyway")
    tap = _Tap(model, session)
    model.taps.append(tap)

    def detach() -> None:
        # By identity: taps are compared by nothing else.
        model.taps[:] = [other for other in model.taps if other is not tap]

    return detach


class _Tap:
    """Collects the tensors of one step after another."""

    def __init__(self, model: Sequential, session: Session) -> None:
        self._model = model
        self._session = session
        index = {layer: i for i, layer in enumerate(model.layers)}
        learning = [i for i, layer in enumerate(model.layers) if layer.is_learning]
        first_learning = min(learning, default=len(model.layers))
        self._collector = StepCollector(session, partial(_placed, index, first_learning))
        self._learning_rate = float("nan")

    def __call__(self, kind: Kind, layer: Layer | None, tensor: str, values: NDArray[Any]) -> None:
        if self._session.is_open:
            if kind is Kind.INPUT:
                self._note_learning_rate()
            self._collector.add(kind, layer, tensor, values)

    def end_step(self, metrics: Mapping[str, float]) -> None:
        """Hand the step over."""
        for name, value in metrics.items():
            self(Kind.METRIC, None, name, np.asarray(value, np.float32))
        self._collector.end_step(self._learning_rate)

    def _note_learning_rate(self) -> None:
        try:
            self._learning_rate = current_learning_rate(self._model)
        except Exception as error:  # the outermost tap: a failing recorder must not stop a training
            self._session.failed(error)


def _placed(index: Mapping[Layer, int], first_learning: int, keys: Sequence[Key]) -> Placed:
    """The tensors that Keras's training has, too, their layers by index."""
    with_output_gradient: int | None = None
    for place, (kind, layer, tensor) in enumerate(keys):
        i = None if layer is None else index[layer]
        if kind is Kind.OUTPUT_GRADIENT or kind is Kind.PREACTIVATION_GRADIENT:
            if i is None or i < first_learning:
                continue
            if kind is Kind.OUTPUT_GRADIENT:
                with_output_gradient = i
            elif i == with_output_gradient:
                continue
        yield place, (kind, i, tensor)
