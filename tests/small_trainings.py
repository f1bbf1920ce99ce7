"""Small trainings, recorded and analysed as a user would."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from deeplocalize.analyzer import Diagnosis, analyze
from deeplocalize.recorder import Recorder

BATCH = 32


def draw() -> np.random.Generator:
    """The same numbers for every training, in whatever order the tests run."""
    return np.random.default_rng(0)


def values(n: int = 512, noise: float = 0.1) -> tuple[Any, Any]:
    """A nonlinear regression."""
    random = draw()
    x = random.normal(size=(n, 6)).astype("float32")
    y = np.tanh(2 * x[:, :1]) + 0.5 * x[:, 1:2] * x[:, 2:3] + noise * random.normal(size=(n, 1))
    return x, y.astype("float32")


def classes(n: int = 512, n_classes: int = 3) -> tuple[Any, Any]:
    """Clusters in eight dimensions."""
    random = draw()
    y = random.integers(n_classes, size=n)
    centers = random.normal(size=(n_classes, 8)) * 1.5
    return (centers[y] + random.normal(size=(n, 8))).astype("float32"), y


def stack(*stacked: Any) -> Any:
    return keras.Sequential([layers.Dense(16, activation="relu"), *stacked])


def fit(trace: Path, model: Any, data: tuple[Any, Any], epochs: int = 8) -> None:
    model.fit(*data, epochs=epochs, batch_size=BATCH, verbose=0, callbacks=[Recorder(trace)])


def diagnosis_of(train: Callable[[Path], None], trace: Path) -> Diagnosis:
    keras.utils.set_random_seed(1)
    train(trace)
    return analyze(trace)
