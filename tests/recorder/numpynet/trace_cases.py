"""The same training recorded in Keras and in NumPy, and how far the two traces are apart."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from deeplocalize.recorder import Recorder
from deeplocalize.recorder.numpynet.arrays import Array
from deeplocalize.recorder.numpynet.from_keras import from_keras
from deeplocalize.traces import Header, Kind, Series, Trace, open_trace

from .keras_cases import one_hot_labels

N_BATCHES = 20
BATCH_SIZE = 32
N_SAMPLES = N_BATCHES * BATCH_SIZE - 5  # the last batch is smaller

TOLERANCE = 1e-4
"""Largest difference of a float32 tensor relative to the largest magnitude in it.

One rounding of a float32 is 6e-8. Sums are taken in different orders, each step builds on the
weights of the one before it, and updates and small gradients are differences of larger numbers.
"""

_layers = keras.layers


def mlp() -> Any:
    """Three dense layers on 20 features."""
    return keras.Sequential(
        [
            keras.Input((20,)),
            _layers.Dense(32, activation="relu", name="first"),
            _layers.Dense(16, name="second"),
            _layers.LeakyReLU(name="leaky"),
            _layers.Dense(3, activation="softmax", name="classes"),
        ]
    )


def cnn() -> Any:
    """Two convolutions on 12 x 12 images, with pooling and moving statistics."""
    return keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            _layers.Conv2D(4, 3, padding="same", activation="relu", name="conv_a"),
            _layers.MaxPooling2D(name="pool"),
            _layers.Conv2D(6, 3, use_bias=False, name="conv_b"),
            _layers.BatchNormalization(name="norm"),
            _layers.ReLU(name="relu"),
            _layers.Flatten(name="flat"),
            _layers.Dense(3, name="logits"),
            _layers.Softmax(name="softmax"),
        ]
    )


NETWORKS = (mlp, cnn)


@dataclass(frozen=True)
class Difference:
    """One series in both traces: the tensors compared, and the largest relative difference."""

    series: str
    kind: Kind
    n_tensors: int
    largest: float


@dataclass(frozen=True)
class Comparison:
    """Two traces: series of only one of them, and the differences of those of both.

    ``left_out`` are series that Keras's trace says it leaves out, so as not to change the run.
    """

    only_in_keras: tuple[str, ...]
    only_in_numpy: tuple[str, ...]
    left_out: tuple[str, ...]
    differences: tuple[Difference, ...]


def compare(make: Callable[[], Any], folder: Path) -> Comparison:
    """Train both on the same batches in the same order, every tensor stored, and compare."""
    keras.utils.set_random_seed(3)
    model = make()
    model.compile(keras.optimizers.SGD(0.05), "categorical_crossentropy", metrics=["accuracy"])
    network = from_keras(model)
    rng = np.random.default_rng(4)
    x = rng.normal(size=(N_SAMPLES, *model.input_shape[1:])).astype("float32")
    y = one_hot_labels(N_SAMPLES)
    paths = folder / f"{make.__name__}-keras.h5", folder / f"{make.__name__}-numpy.h5"
    for trained, path in zip((model, network), paths, strict=True):
        recorder = Recorder(path, tensors=lambda iteration: True)
        trained.fit(x, y, batch_size=BATCH_SIZE, shuffle=False, verbose=0, callbacks=[recorder])
    with open_trace(paths[0]) as of_keras, open_trace(paths[1]) as of_numpy:
        left_out = {(u.layer, u.kind) for u in of_keras.header.unrecorded}
        left_out_names = tuple(
            _name(of_numpy.header, series)
            for series in of_numpy.header.series
            if (series.layer, series.kind) in left_out
        )
        return _compared(_tensors(of_keras), _tensors(of_numpy), left_out_names)


_Tensors = dict[tuple[str, Kind], dict[int, Array]]


def _compared(wanted: _Tensors, found: _Tensors, left_out: tuple[str, ...]) -> Comparison:
    return Comparison(
        tuple(name for name, _ in wanted.keys() - found.keys()),
        tuple(name for name, _ in found.keys() - wanted.keys() if name not in left_out),
        left_out,
        tuple(
            Difference(
                name,
                kind,
                len(tensors),
                max(_apart(found[name, kind][i], tensor) for i, tensor in tensors.items()),
            )
            for (name, kind), tensors in wanted.items()
            if (name, kind) in found
        ),
    )


def _tensors(trace: Trace) -> _Tensors:
    """Every tensor by series and iteration, the series in their order in the trace."""
    tensors: _Tensors = {}
    for entry in trace.reader.tensor_entries():
        series = trace.header.series[entry.series]
        name = _name(trace.header, series)
        tensors.setdefault((name, series.kind), {})[entry.iteration] = trace.reader.read_tensor(
            entry
        )
    return tensors


def _name(header: Header, series: Series) -> str:
    layer = header.layer_of(series)
    parts = (layer.name if layer else "", series.kind, series.tensor, str(series.shape))
    return " ".join(part for part in parts if part)


def _apart(found: Array, wanted: Array) -> float:
    assert found.shape == wanted.shape
    scale = float(np.abs(wanted).max()) or 1.0
    return float(np.abs(found - wanted).max()) / scale
