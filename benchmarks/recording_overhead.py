"""What recording costs: the time of a training step with a recorder over that without one.

Both kinds of training alternate in one process (A B A B ...), each for a few epochs of which
the first, with its tracing and compiling, does not count. Default settings: every batch, all
layers, all kinds, written to disk. Printed are medians over epochs of the time per step, their
ratio with its spread (the ratios of neighbouring pairs), and the bytes per step and series.

    python benchmarks/recording_overhead.py [--pairs 5] [--format h5|parquet] [WORKLOAD ...]

``--exact never`` and ``--exact always`` show what exact recording costs in iterations that are
not replayed and in those that are; ``--xla`` has XLA compile the step.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from deeplocalize.recorder import Recorder
from deeplocalize.recorder.schedule import always
from deeplocalize.traces import open_trace

WARM_EPOCHS = 1
TIMED_EPOCHS = 2


@dataclass(frozen=True)
class Workload:
    """A model and the shape of what it is trained on."""

    build: Callable[[], Any]
    shape: tuple[int, ...]
    batch_size: int
    n_batches: int


def mlp() -> Any:
    return keras.Sequential(
        [
            layers.Input((784,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def cnn() -> Any:
    return keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def residual() -> Any:
    """Twenty layers of convolutions with shortcuts, as for 32 by 32 images."""

    def convolution(x: Any, n_filters: int, strides: int = 1) -> Any:
        x = layers.Conv2D(n_filters, 3, strides, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    inputs = layers.Input((32, 32, 3))
    x = layers.ReLU()(convolution(inputs, 16))
    for n_filters, strides in [(16, 1)] * 3 + [
        (32, 2),
        (32, 1),
        (32, 1),
        (64, 2),
        (64, 1),
        (64, 1),
    ]:
        y = layers.ReLU()(convolution(x, n_filters, strides))
        y = convolution(y, n_filters)
        if x.shape[-1] != n_filters:
            x = layers.Conv2D(n_filters, 1, strides, use_bias=False)(x)
        x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def transformer() -> Any:
    """Four encoder blocks over sequences of 64 vectors."""
    inputs = layers.Input((64, 128))
    x = inputs
    for _ in range(4):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(4, 32)(y, y)])
        y = layers.LayerNormalization()(x)
        y = layers.Dense(128)(layers.Dense(512, activation="gelu")(y))
        x = layers.Add()([x, y])
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def wide() -> Any:
    hidden = [layers.Dense(2048, activation="relu") for _ in range(4)]
    return keras.Sequential(
        [layers.Input((2048,)), *hidden, layers.Dense(10, activation="softmax")]
    )


WORKLOADS: dict[str, Workload] = {
    "mlp": Workload(mlp, (784,), 32, 600),
    "cnn": Workload(cnn, (28, 28, 1), 64, 40),
    "residual": Workload(residual, (32, 32, 3), 64, 6),
    "transformer": Workload(transformer, (64, 128), 32, 6),
    "wide": Workload(wide, (2048,), 256, 6),
}


class EpochTimes(keras.callbacks.Callback):
    """Seconds of each epoch."""

    async_safe = True

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(time.perf_counter() - self._began)


EXACT: dict[str, bool | Callable[[int], bool]] = {
    "off": False,
    "never": lambda iteration: False,
    "always": always,
    "sparse": True,
}


@dataclass(frozen=True)
class Settings:
    """How a workload is trained and recorded."""

    trace: Path
    exact: str = "off"
    xla: bool = False


def step_seconds(workload: Workload, x: Any, y: Any, settings: Settings, records: bool) -> float:
    """Median seconds of a step of one training."""
    keras.utils.set_random_seed(1)
    model = workload.build()
    model.compile(
        keras.optimizers.Adam(1e-3),
        "sparse_categorical_crossentropy",
        jit_compile=settings.xla or "auto",
    )
    times = EpochTimes()
    callbacks: list[Any] = [times]
    if records:
        exact = EXACT[settings.exact]
        callbacks.append(Recorder(settings.trace, overwrite=True, exact=exact))
    model.fit(
        x,
        y,
        batch_size=workload.batch_size,
        epochs=WARM_EPOCHS + TIMED_EPOCHS,
        verbose=0,
        callbacks=callbacks,
    )
    return statistics.median(times.seconds[WARM_EPOCHS:]) / workload.n_batches


def n_bytes(trace: Path) -> int:
    parts = trace.rglob("*") if trace.is_dir() else [trace]
    return sum(part.stat().st_size for part in parts if part.is_file())


def measure(name: str, n_pairs: int, settings: Settings) -> str:
    workload = WORKLOADS[name]
    rng = np.random.default_rng(0)
    n = workload.batch_size * workload.n_batches
    x = rng.random((n, *workload.shape), np.float32)
    y = rng.integers(0, 10, n)
    plain, recorded = [], []
    for _ in range(n_pairs):
        plain.append(step_seconds(workload, x, y, settings, records=False))
        recorded.append(step_seconds(workload, x, y, settings, records=True))
    ratios = sorted(b / a for a, b in zip(plain, recorded, strict=True))
    with open_trace(settings.trace) as opened:
        n_series, n_iterations = len(opened.header.series), opened.n_iterations
    per_step = n_bytes(settings.trace) / n_iterations
    return (
        f"{name:12} {statistics.median(plain) * 1e3:8.2f} {statistics.median(recorded) * 1e3:8.2f}"
        f" {statistics.median(ratios):7.2f}   {ratios[0]:.2f}-{ratios[-1]:.2f}"
        f" {n_series:7d} {per_step:8.0f} {per_step / n_series:9.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("workloads", nargs="*", choices=[*WORKLOADS, []], help="default: all")
    parser.add_argument("--pairs", type=int, default=5, help="trainings of each kind")
    parser.add_argument("--format", choices=("h5", "parquet"), default="h5")
    parser.add_argument("--exact", choices=tuple(EXACT), default="off", help="replayed steps")
    parser.add_argument("--xla", action="store_true", help="compile the step with XLA")
    arguments = parser.parse_args()
    print(
        "workload     plain ms  rec. ms   ratio  (min-max)   series  B/step  B/series", flush=True
    )
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / f"run.{arguments.format}"
        settings = Settings(trace, arguments.exact, arguments.xla)
        for name in arguments.workloads or WORKLOADS:
            print(measure(name, arguments.pairs, settings), flush=True)


if __name__ == "__main__":
    main()
