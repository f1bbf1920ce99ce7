"""Observation must not change the run: weights, state, history and optimizer, bit for bit."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from deeplocalize.recorder import Recorder
from deeplocalize.traces import open_trace

from .models import CASES, Case

MODES: dict[str, dict[str, Any]] = {
    "graph": {"jit_compile": False},
    "auto": {"jit_compile": "auto"},
    "xla": {"jit_compile": True},
    "eager": {"run_eagerly": True},
    "several_steps": {"steps_per_execution": 3},
}


@pytest.fixture(autouse=True)
def default_policy() -> Iterator[None]:
    yield
    keras.config.set_dtype_policy("float32")


def train(case: Case, mode: dict[str, Any], callbacks: list[Any]) -> tuple[Any, Any]:
    keras.config.set_dtype_policy(case.policy)
    keras.utils.set_random_seed(7)
    model = case.build()
    model.compile(optimizer=case.optimizer(), loss=case.loss(), **mode)
    # 100 samples in batches of 32: the last batch is smaller
    history = model.fit(
        case.x,
        case.labels,
        batch_size=32,
        epochs=2,
        verbose=0,
        callbacks=callbacks,
        validation_data=(case.x, case.labels),
    )
    return model, history.history


def assert_unchanged(case: Case, mode: dict[str, Any], path: Path) -> None:
    plain, plain_history = train(case, mode, [])
    recorded, recorded_history = train(case, mode, [Recorder(path)])
    for expected, found in zip(plain.variables, recorded.variables, strict=True):
        np.testing.assert_array_equal(expected.numpy(), found.numpy(), err_msg=expected.path)
    for expected, found in zip(
        plain.optimizer.variables, recorded.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(expected.numpy(), found.numpy(), err_msg=expected.path)
    assert repr(plain_history) == repr(recorded_history)
    with open_trace(path) as trace:
        assert trace.n_iterations == 8
        assert trace.ended == {"status": "completed"}


@pytest.mark.parametrize("name", CASES)
def test_recording_leaves_a_compiled_training_bit_identical(name: str, tmp_path: Path) -> None:
    assert_unchanged(CASES[name], MODES["auto"], tmp_path / "run.h5")


@pytest.mark.parametrize("name", sorted(n for n in CASES if CASES[n].x.dtype == "float32"))
def test_recording_leaves_a_training_with_nan_bit_identical(name: str, tmp_path: Path) -> None:
    # TensorFlow's fused and separate operations agree on numbers, but not on NaN.
    x = CASES[name].x.copy()
    x[70, 1] = np.nan
    assert_unchanged(replace(CASES[name], x=x), MODES["auto"], tmp_path / "run.h5")


@pytest.mark.parametrize("mode", [m for m in MODES if m != "auto"])
@pytest.mark.parametrize("name", ["mlp", "cnn", "batch_normalization", "nested", "subclassed"])
def test_recording_leaves_every_execution_mode_bit_identical(
    name: str, mode: str, tmp_path: Path
) -> None:
    assert_unchanged(CASES[name], MODES[mode], tmp_path / "run.h5")


# XLA's random numbers on the CPU differ from run to run, also without a recorder.
UNREPRODUCIBLE = {("noisy_lambda", "xla")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "mode"),
    sorted(set(itertools.product(CASES, MODES)) - {(n, "auto") for n in CASES} - UNREPRODUCIBLE),
)
def test_recording_leaves_every_model_in_every_mode_bit_identical(
    name: str, mode: str, tmp_path: Path
) -> None:
    assert_unchanged(CASES[name], MODES[mode], tmp_path / "run.h5")
