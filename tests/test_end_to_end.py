"""Real trainings, recorded and analysed as a user would: healthy ones, and known faults."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import sklearn.datasets
from keras import layers, ops

from deeplocalize.analyzer.cli import main
from deeplocalize.analyzer.reports import REPORTS
from deeplocalize.recorder import Recorder
from deeplocalize.recorder.schedule import every

BATCH = 16


def digits() -> tuple[Any, Any]:
    x, y = sklearn.datasets.load_digits(return_X_y=True)
    return (x / 16).astype("float32"), y


def standardized(x: Any) -> Any:
    return ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32")


def analyse(trace: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON of the command line."""
    code = main([str(trace), "--format", "json"])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, document


@pytest.fixture(params=["h5", "parquet"])
def trace(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / f"run.{request.param}"


# ---- healthy trainings ---------------------------------------------------------------------------


def classify_digits(callbacks: list[Any]) -> None:
    x, y = digits()
    head = layers.Dense(10, activation="softmax")
    model = keras.Sequential([keras.Input((64,)), layers.Dense(32, activation="relu"), head])
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, keras.utils.to_categorical(y), epochs=5, verbose=0, callbacks=callbacks)


def classify_tumours(callbacks: list[Any]) -> None:
    x, y = sklearn.datasets.load_breast_cancer(return_X_y=True)
    head = layers.Dense(1, activation="sigmoid")
    model = keras.Sequential([keras.Input((30,)), layers.Dense(16, activation="relu"), head])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    model.fit(standardized(x), y, epochs=15, verbose=0, callbacks=callbacks)


def predict_diabetes(callbacks: list[Any]) -> None:
    x, y = sklearn.datasets.load_diabetes(return_X_y=True)
    head = layers.Dense(1)
    model = keras.Sequential([keras.Input((10,)), layers.Dense(16, activation="relu"), head])
    model.compile("adam", "mse")
    x, y = standardized(x), standardized(y[:, None])
    model.fit(x, y, epochs=15, verbose=0, callbacks=callbacks)


@pytest.mark.parametrize("train", [classify_digits, classify_tumours, predict_diabetes])
def test_a_healthy_training_is_called_healthy(
    train: Callable[[list[Any]], None], trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keras.utils.set_random_seed(3)
    train([Recorder(trace)])
    code, document = analyse(trace, capsys)
    assert (code, document["verdict"], document["first_fault"]) == (0, "healthy", None)


@pytest.mark.parametrize("compiled", [False, True])
def test_replays_of_a_healthy_training_raise_no_alarm(
    compiled: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keras.utils.set_random_seed(3)
    x, y = digits()
    hidden = [layers.Dense(32, activation="tanh"), layers.Dense(16, activation="gelu")]
    model = stack(*hidden)
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=compiled)
    recorder = Recorder(tmp_path / "run.h5", exact=every(5))
    model.fit(x, y, epochs=5, verbose=0, callbacks=[recorder])
    code, document = analyse(tmp_path / "run.h5", capsys)
    assert (code, document["verdict"]) == (0, "healthy")
    assert document["coverage"]["replay"]["n_iterations"] == 57
    assert not document["coverage"]["missing"]


# ---- injected faults -----------------------------------------------------------------------------


@keras.saving.register_keras_serializable()
class FromBatch(layers.Layer):
    """Applies a function to its inputs from a given training batch on; before, passes them on."""

    def __init__(self, at: int, function: Callable[[Any, Any], Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.at, self.function = at, function

    def build(self, shape: Any) -> None:
        self.n_calls = self.add_weight(
            shape=(), dtype="int32", initializer="zeros", trainable=False, name="n_calls"
        )

    def call(self, x: Any, training: bool = False) -> Any:
        due = ops.cast(self.n_calls >= self.at, x.dtype)
        self.n_calls.assign_add(1)
        return self.function(x, due)


@dataclass(frozen=True)
class Expected:
    layer: str | None
    iteration: int
    kind: str
    phase: str


def stack(*hidden: Any, optimizer: Any = None) -> Any:
    head = layers.Dense(10, activation="softmax", name="head")
    model = keras.Sequential([keras.Input((64,)), *hidden, head])
    model.compile(optimizer or keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    return model


def fit(model: Any, trace: Path, x: Any = None, n_batches: int = 60, **kwargs: Any) -> None:
    images, y = digits()
    x = images if x is None else x
    n = n_batches * BATCH
    callbacks = [Recorder(trace)]
    model.fit(
        x[:n], y[:n], batch_size=BATCH, shuffle=False, verbose=0, callbacks=callbacks, **kwargs
    )


def nan_in_an_input_row(trace: Path) -> Expected:
    x, _ = digits()
    x[37 * BATCH + 5, 11] = np.nan
    fit(stack(layers.Dense(32, activation="relu")), trace, x)
    return Expected(None, 37, "input", "input")


def log_of_zero(trace: Path) -> Expected:
    # From batch 25 on the argument is 0, before it is 1 or more.
    log = FromBatch(25, lambda x, due: ops.log((1 - due) * (1 + ops.abs(x))), name="log")
    fit(stack(layers.Dense(32, activation="relu"), log, layers.Dense(16)), trace)
    return Expected("log", 25, "output", "forward")


def exp_overflow(trace: Path) -> Expected:
    exp = FromBatch(12, lambda x, due: ops.exp(x + due * 100), name="exp")
    hidden = [layers.Dense(16, activation="tanh"), exp, layers.Dense(8, activation="relu")]
    fit(stack(*hidden), trace)
    return Expected("exp", 12, "output", "forward")


def sqrt_at_zero(trace: Path) -> Expected:
    # Forward: sqrt(0) = 0. Backward: 1 / (2 sqrt(0)) = Inf, and Inf times 0 is NaN.
    root = FromBatch(18, lambda x, due: ops.sqrt((1 - due) * (1 + ops.abs(x))), name="root")
    fit(stack(layers.Dense(32, activation="relu", name="before"), root), trace)
    return Expected("root", 18, "output_gradient", "backward")


def learning_rate_that_overflows(trace: Path) -> Expected:
    # Gradients of the hidden kernel exceed 1.2 here, so 3e38 times them is beyond float32.
    rate = keras.optimizers.schedules.PiecewiseConstantDecay([20], [1e-4, 3e38])
    hidden = [layers.Rescaling(100.0), layers.Dense(16, activation="relu", name="hidden")]
    fit(stack(*hidden, optimizer=keras.optimizers.SGD(rate)), trace)
    return Expected("hidden", 21, "weight_update", "update")


def dead_relu(trace: Path) -> Expected:
    dead = layers.Dense(
        16, activation="relu", bias_initializer=keras.initializers.Constant(-100), name="dead"
    )
    fit(stack(layers.Dense(32, activation="relu"), dead), trace)
    return Expected("dead", 0, "output", "forward")


FAULTS = [
    nan_in_an_input_row,
    log_of_zero,
    exp_overflow,
    sqrt_at_zero,
    learning_rate_that_overflows,
    dead_relu,
]


@pytest.mark.parametrize("inject", FAULTS)
def test_an_injected_fault_is_located_exactly(
    inject: Callable[[Path], Expected], trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_located(inject, trace, capsys)


def assert_located(
    inject: Callable[[Path], Expected], trace: Path, capsys: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    """The diagnosis of a training with a fault, which is found where it was put."""
    keras.utils.set_random_seed(3)
    expected = inject(trace)
    code, document = analyse(trace, capsys)
    fault = document["first_fault"]
    layer = fault["layer"] and fault["layer"]["name"]
    found = Expected(layer, fault["iteration"], fault["kind"], fault["phase"])
    assert (code, found) == (1, expected)
    return document


def fit_exactly(model: Any, trace: Path, x: Any = None) -> None:
    """Train and replay only the iteration that breaks, besides the first."""
    images, y = digits()
    x = images if x is None else x
    n = 30 * BATCH
    callbacks = [Recorder(trace, exact=lambda iteration: iteration == 0)]
    model.fit(x[:n], y[:n], batch_size=BATCH, shuffle=False, verbose=0, callbacks=callbacks)


def overflow_before_gelu(trace: Path) -> Expected:
    # Finite inputs whose products with the kernel are beyond float32.
    x, _ = digits()
    x[17 * BATCH + 3] = 3e38
    hidden = layers.Dense(
        16, activation="gelu", kernel_initializer=keras.initializers.Constant(0.5), name="hidden"
    )
    fit_exactly(stack(hidden), trace, x)
    return Expected("hidden", 17, "preactivation", "forward")


def log_within_a_compiled_step(trace: Path) -> Expected:
    log = FromBatch(21, lambda x, due: ops.log((1 - due) * (1 + ops.abs(x))), name="log")
    model = stack(layers.Dense(32, activation="relu"), log, layers.Dense(16))
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=True)
    fit_exactly(model, trace)
    return Expected("log", 21, "output", "forward")


def sqrt_within_a_compiled_step(trace: Path) -> Expected:
    root = FromBatch(18, lambda x, due: ops.sqrt((1 - due) * (1 + ops.abs(x))), name="root")
    model = stack(layers.Dense(32, activation="relu", name="before"), root)
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=True)
    fit_exactly(model, trace)
    return Expected("root", 18, "output_gradient", "backward")


@pytest.mark.parametrize(
    "inject", [overflow_before_gelu, log_within_a_compiled_step, sqrt_within_a_compiled_step]
)
def test_a_fault_within_what_is_left_out_by_default_is_located_by_a_replay(
    inject: Callable[[Path], Expected], trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = assert_located(inject, trace, capsys)
    assert document["first_fault"]["is_certain"]
    assert document["coverage"]["replay"]["n_iterations"] == 2


def test_a_frozen_layer_is_no_fault(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keras.utils.set_random_seed(3)
    frozen = layers.Dense(64, activation="relu", trainable=False, name="frozen")
    fit(stack(frozen, layers.Dense(32, activation="relu")), trace, n_batches=100, epochs=3)
    code, document = analyse(trace, capsys)
    assert (code, document["verdict"]) == (0, "healthy")


@pytest.mark.parametrize("form", REPORTS)
@pytest.mark.parametrize("schedule", [None, every(2), {"Dense": every(2)}])
def test_every_report_can_be_made_of_a_recorded_training(
    form: str, schedule: Any, tmp_path: Path
) -> None:
    model = stack()
    x = np.random.default_rng(0).normal(size=(64, model.input_shape[1])).astype("float32")
    x[40] = np.nan
    recorder = Recorder(tmp_path / "run.h5", schedule=schedule, histograms=every(2))
    model.fit(x, np.zeros(64), 16, verbose=0, callbacks=[recorder])
    report = tmp_path / "report"
    assert main([str(tmp_path / "run.h5"), "--format", form, "-o", str(report)]) == 1
    assert report.stat().st_size > 100
