"""Observation must not change the run: weights, state, history and optimizer, bit for bit."""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from deeplocalize.recorder import Recorder
from deeplocalize.recorder.schedule import every
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


@dataclass(frozen=True)
class Outcome:
    """All that a training leaves behind: variables by path, those of the optimizer, history."""

    model: list[tuple[str, Any]]
    optimizer: list[tuple[str, Any]]
    history: str


def outcome(case: Case, mode: dict[str, Any], callbacks: list[Any]) -> Outcome:
    model, history = train(case, mode, callbacks)
    variables, of_optimizer = (
        [(v.path, v.numpy()) for v in owner.variables] for owner in (model, model.optimizer)
    )
    return Outcome(variables, of_optimizer, repr(history))


@functools.cache
def unrecorded(name: str, mode: str) -> Outcome:
    """What a case comes to without a recorder, computed once for all tests."""
    return outcome(CASES[name], MODES[mode], [])


def assert_same(found: Outcome, expected: Outcome) -> None:
    for (_, value), (path, wanted) in zip(
        (*found.model, *found.optimizer), (*expected.model, *expected.optimizer), strict=True
    ):
        np.testing.assert_array_equal(value, wanted, err_msg=path)
    assert found.history == expected.history


def assert_unchanged(name: str, mode: str, path: Path, **options: Any) -> None:
    found = outcome(CASES[name], MODES[mode], [Recorder(path, **options)])
    assert_same(found, unrecorded(name, mode))
    assert_complete(path)


def assert_complete(path: Path) -> None:
    with open_trace(path) as trace:
        assert trace.n_iterations == 8
        assert trace.ended == {"status": "completed"}


@pytest.mark.parametrize("name", CASES)
def test_recording_leaves_a_compiled_training_bit_identical(name: str, tmp_path: Path) -> None:
    assert_unchanged(name, "auto", tmp_path / "run.h5")


@pytest.mark.parametrize("name", CASES)
def test_replays_leave_a_compiled_training_bit_identical(name: str, tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    assert_unchanged(name, "auto", path, exact=every(2))
    with open_trace(path) as trace:
        replayed = [series for series in trace.header.series if series.replayed]
        reasons = {entry.reason for entry in trace.header.unrecorded}
        assert not any("fusing" in reason for reason in reasons)
        if replayed:
            checks = trace.statistics(kind="replay_error")
            assert sorted(set(checks["iteration"])) == [0, 2, 4, 6]


@pytest.mark.parametrize("name", sorted(n for n in CASES if CASES[n].x.dtype == "float32"))
def test_recording_leaves_a_training_with_nan_bit_identical(name: str, tmp_path: Path) -> None:
    # TensorFlow's fused and separate operations agree on numbers, but not on NaN.
    x = CASES[name].x.copy()
    x[70, 1] = np.nan
    case = replace(CASES[name], x=x)
    recorders = [Recorder(tmp_path / "run.h5", exact=True)]
    assert_same(outcome(case, MODES["auto"], recorders), outcome(case, MODES["auto"], []))
    assert_complete(tmp_path / "run.h5")


@pytest.mark.parametrize("mode", [m for m in MODES if m != "auto"])
@pytest.mark.parametrize("name", ["mlp", "cnn", "batch_normalization", "nested", "subclassed"])
def test_recording_leaves_every_execution_mode_bit_identical(
    name: str, mode: str, tmp_path: Path
) -> None:
    assert_unchanged(name, mode, tmp_path / "run.h5")


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("nested", "xla"),
        ("batch_normalization", "xla"),
        ("custom_step", "several_steps"),
    ],
)
def test_replays_leave_execution_modes_bit_identical(name: str, mode: str, tmp_path: Path) -> None:
    assert_unchanged(name, mode, tmp_path / "run.h5", exact=every(2))


# XLA's random numbers on the CPU differ from run to run, also without a recorder.
UNREPRODUCIBLE = {("noisy_lambda", "xla")}


@pytest.mark.slow
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(
    ("name", "mode"),
    sorted(set(itertools.product(CASES, MODES)) - {(n, "auto") for n in CASES} - UNREPRODUCIBLE),
)
def test_recording_leaves_every_model_in_every_mode_bit_identical(
    name: str, mode: str, exact: bool, tmp_path: Path
) -> None:
    assert_unchanged(name, mode, tmp_path / "run.h5", exact=exact)
