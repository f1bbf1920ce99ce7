"""Samples per second of training: the NumPy network, with and without the recorder, and Keras.

Run from the checkout: ``python benchmarks/numpynet_speed.py [rounds]``. The contenders take turns
(A B A B ...) on the same data, one epoch each, so that whatever else the machine does meets them
alike; the table shows medians, the fastest and the slowest turn, and the median of the ratios
to Keras within each round. Recorded epochs include making, writing and closing the trace.
"recorded" is ``Recorder(path)`` as it is; "no ring" keeps no tensors in memory; "every tenth" takes
the statistics of every tenth batch, and watches the others for values that are not finite.
"""

import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import numpy as np

from deeplocalize.recorder import Recorder
from deeplocalize.recorder.numpynet.from_keras import from_keras
from deeplocalize.recorder.schedule import every

BATCH_SIZE = 32
BASELINE = "keras"

layers = keras.layers
Data = tuple[Any, Any]
Epoch = Callable[[], object]

folder = tempfile.TemporaryDirectory()
paths = (Path(folder.name) / f"{i}.h5" for i in itertools.count())


@dataclass(frozen=True)
class Task:
    """A network, and how many samples make one turn."""

    name: str
    make: Callable[[], Any]
    n_samples: int


def mlp() -> Any:
    return keras.Sequential(
        [
            keras.Input((784,)),
            layers.Dense(84, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def lenet() -> Any:
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(6, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 5, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(120, activation="relu"),
            layers.Dense(84, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


TASKS = (Task("MLP 784-84-10", mlp, 64_000), Task("CNN 28x28x1", lenet, 3_200))


def keras_fit(model: Any, data: Data) -> Epoch:
    return lambda: model.fit(*data, batch_size=BATCH_SIZE, verbose=0)


def numpy_fit(model: Any, data: Data) -> Epoch:
    network = from_keras(model)
    return lambda: network.fit(*data, batch_size=BATCH_SIZE, verbose=0)


def recorded_numpy_fit(model: Any, data: Data, **options: Any) -> Epoch:
    network = from_keras(model)

    def epoch() -> None:
        path = next(paths)
        recorder = Recorder(path, **options)
        network.fit(*data, batch_size=BATCH_SIZE, verbose=0, callbacks=[recorder])
        path.unlink()

    return epoch


# A further contender is one function here: a Keras model and data to what runs one epoch.
CONTENDERS: Mapping[str, Callable[[Any, Data], Epoch]] = {
    "numpy": numpy_fit,
    "recorded": recorded_numpy_fit,
    "no ring": partial(recorded_numpy_fit, ring_iterations=0),
    "every tenth": partial(recorded_numpy_fit, ring_iterations=0, schedule=every(10)),
    BASELINE: keras_fit,
}


def measured(task: Task, n_rounds: int) -> dict[str, list[float]]:
    """Samples per second of every turn, by contender."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    model = task.make()
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
    data = (
        rng.random((task.n_samples, *model.input_shape[1:]), dtype="float32"),
        np.eye(10, dtype="float32")[rng.integers(0, 10, task.n_samples)],
    )
    epochs = {name: make(model, data) for name, make in CONTENDERS.items()}
    for run in epochs.values():
        run()  # tracing, allocation and caches are not what is compared
    rates: dict[str, list[float]] = {name: [] for name in epochs}
    for _ in range(n_rounds):
        for name, run in epochs.items():
            begin_s = time.perf_counter()
            run()
            rates[name].append(task.n_samples / (time.perf_counter() - begin_s))
    return rates


def main() -> None:
    n_rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    print(f"samples per second, batch size {BATCH_SIZE}, float32, {n_rounds} rounds")
    print(
        f"{'network':15}{'contender':>12}{'median':>10}{'slowest':>10}{'fastest':>10}"
        f"{'to keras':>10}{'time to numpy':>15}"
    )
    for task in TASKS:
        rates = measured(task, n_rounds)
        for name, values in rates.items():
            print(
                f"{task.name:15}{name:>12}{median(values):10,.0f}{min(values):10,.0f}"
                f"{max(values):10,.0f}{ratio(values, rates[BASELINE]):9.2f}x"
                f"{ratio(rates['numpy'], values):14.2f}x"
            )


def ratio(a: Sequence[float], b: Sequence[float]) -> float:
    return median(x / y for x, y in zip(a, b, strict=True))


if __name__ == "__main__":
    main()
