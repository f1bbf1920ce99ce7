"""Trainings with and without a recorder, side by side."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from deeplocalize.recorder import Recorder
from deeplocalize.traces import Kind, Trace, open_trace

from .models import FEATURES, LABELS, VECTORS, from_logits

BATCH = 20
N_STEPS = 5  # per epoch


def classifier(dtype: str = "float32", **compiled: Any) -> Any:
    keras.config.set_dtype_policy(dtype)
    keras.utils.set_random_seed(7)
    hidden = keras.layers.Dense(8, activation="relu", name="hidden")
    out = keras.layers.Dense(3, name="out", dtype="float32")
    model = keras.Sequential([keras.Input((FEATURES,)), hidden, out])
    compiled = {"optimizer": keras.optimizers.SGD(0.1), "loss": from_logits(), **compiled}
    model.compile(**compiled)
    return model


Fit = Callable[[Any, list[Any]], Any]
"""Trains a model with callbacks, and gives the history."""


def fit(model: Any, callbacks: list[Any], **arguments: Any) -> Any:
    arguments = {"x": VECTORS, "y": LABELS, "batch_size": BATCH, **arguments}
    return model.fit(**arguments, shuffle=False, verbose=0, callbacks=callbacks).history


def recorded(build: Callable[[], Any], path: Path, train: Fit = fit) -> Any:
    """Train with and without a recorder, compare all that is left; the recorded model."""
    plain, model = build(), build()
    expected = train(plain, [])
    found = train(model, [Recorder(path, tensors=lambda iteration: True)])
    assert repr(found) == repr(expected)
    for one, two in zip(variables(plain), variables(model), strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy(), err_msg=one.path)
    with open_trace(path) as trace:
        assert trace.ended == {"status": "completed"}
    return model


def variables(model: Any) -> list[Any]:
    optimizers = [v for v in vars(model).values() if isinstance(v, keras.optimizers.Optimizer)]
    unique = {id(o): o for o in [*optimizers, model.optimizer]}
    return [*model.variables, *(v for o in unique.values() for v in o.variables)]


def batch_of(step: int) -> slice:
    return slice(step * BATCH, (step + 1) * BATCH)


def softmax_losses(logits: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    """Cross-entropy of each sample."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    picked: NDArray[Any] = -log_p[np.arange(len(labels)), labels]
    return picked


def tensors(trace: Trace, kind: Kind, step: int) -> dict[tuple[str, str, int], NDArray[Any]]:
    found = {}
    for entry in trace.reader.tensor_entries():
        series = trace.header.series[entry.series]
        layer = trace.header.layer_of(series)
        if series.kind is kind and entry.iteration == step and layer is not None:
            found[layer.name, series.tensor, series.call] = trace.reader.read_tensor(entry)
    return found
