"""Recording a loop of one's own."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeplocalize.analyzer import analyze
from deeplocalize.recorder import LoopRecorder
from deeplocalize.traces import Kind, open_trace

ROOT = Path(__file__).parents[2]


def record(path: Path, n: int = 3) -> None:
    with LoopRecorder(path, {"first": "relu", "last": None}, loss="mean_squared_error") as recorder:
        for i in range(n):
            recorder.begin_iteration(epoch=i // 2)
            recorder.tap("input", np.full((4, 2), i))
            recorder.tap("weight", np.ones((2, 3)), "first", "kernel")
            recorder.tap("output", np.ones((4, 3)), "first")
            recorder.tap("output", np.ones((4, 1)), "last")
            recorder.tap("loss", 0.5)
            recorder.end_iteration(learning_rate=0.1)


def test_a_loop_leaves_a_trace_of_its_iterations(tmp_path: Path) -> None:
    record(tmp_path / "loop.h5")
    with open_trace(tmp_path / "loop.h5") as trace:
        assert trace.ended == {"status": "completed"}
        assert list(trace.iterations["epoch"]) == [0, 0, 1]
        assert list(trace.iterations["batch"]) == [0, 1, 0]
        assert list(trace.iterations["n_samples"]) == [4, 4, 4]
        assert list(trace.iterations["loss"]) == [0.5] * 3
        assert list(trace.iterations["learning_rate"]) == [0.1] * 3
        assert list(trace.statistics(kind="input")["mean"]) == [0.0, 1.0, 2.0]
        first, last = trace.header.layers
        assert (first.name, first.activation, first.n_parameters) == ("first", "relu", 6)
        assert last.inbound == ("first",)


def test_layers_need_not_be_named_before(tmp_path: Path) -> None:
    with LoopRecorder(tmp_path / "loop.h5") as recorder:
        recorder.begin_iteration()
        recorder.tap("output", np.ones((4, 3)), "a")
        recorder.tap("output", np.ones((4, 3)), "b")
        recorder.end_iteration()
    with open_trace(tmp_path / "loop.h5") as trace:
        assert [layer.name for layer in trace.header.layers] == ["a", "b"]
        assert [series.layer for series in trace.header.series] == [0, 1]


def test_a_tensor_may_change_once_it_was_handed_over(tmp_path: Path) -> None:
    w = np.ones((2, 2))
    with LoopRecorder(tmp_path / "loop.h5") as recorder:
        recorder.begin_iteration()
        recorder.tap("weight", w, "a", "kernel")
        w -= 5
        recorder.end_iteration()
    with open_trace(tmp_path / "loop.h5") as trace:
        assert list(trace.statistics(kind="weight")["mean"]) == [1.0]


def test_tensors_are_put_into_the_order_of_a_step(tmp_path: Path) -> None:
    with LoopRecorder(tmp_path / "loop.h5", ["a"]) as recorder:
        recorder.begin_iteration()
        for kind in ("weight_update", "loss", "output", "weight", "input"):
            recorder.tap(kind, np.ones((2, 2)), None if kind in ("loss", "input") else "a")
        recorder.end_iteration()
    with open_trace(tmp_path / "loop.h5") as trace:
        kinds = [series.kind for series in trace.header.series]
    assert kinds == [Kind.INPUT, Kind.WEIGHT, Kind.OUTPUT, Kind.LOSS, Kind.WEIGHT_UPDATE]


def test_an_iteration_that_was_not_ended_is_not_recorded(tmp_path: Path) -> None:
    with LoopRecorder(tmp_path / "loop.h5") as recorder:
        recorder.begin_iteration()
        recorder.tap("loss", 1.0)
        recorder.begin_iteration()
        recorder.tap("loss", 2.0)
        recorder.end_iteration()
    with open_trace(tmp_path / "loop.h5") as trace:
        assert list(trace.iterations["loss"]) == [2.0]


def test_an_exception_in_the_loop_is_noted(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), LoopRecorder(tmp_path / "loop.h5"):
        _ = 1 // 0
    with open_trace(tmp_path / "loop.h5") as trace:
        assert trace.ended == {"status": "exception"}
        assert "ZeroDivisionError" in trace.reader.events()[-1].message


def test_an_unknown_kind_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with (
        LoopRecorder(tmp_path / "loop.h5") as recorder,
        pytest.raises(ValueError, match=r"weight_gradient.*found 'gradient'"),
    ):
        recorder.begin_iteration()
        recorder.tap("gradient", 0.0)


def test_what_belongs_to_no_iteration_is_refused(tmp_path: Path) -> None:
    with LoopRecorder(tmp_path / "loop.h5") as recorder:
        with pytest.raises(RuntimeError, match="tap: no iteration has begun"):
            recorder.tap("loss", 0.0)
        with pytest.raises(RuntimeError, match="end_iteration: no iteration has begun"):
            recorder.end_iteration()
    with open_trace(tmp_path / "loop.h5") as trace:
        assert trace.n_iterations == 0


def test_an_iteration_that_an_exception_cuts_short_is_recorded(tmp_path: Path) -> None:
    with (
        pytest.raises(FloatingPointError),
        LoopRecorder(tmp_path / "loop.h5") as recorder,
    ):
        recorder.begin_iteration()
        recorder.tap("output", np.full(3, np.nan), "first")
        raise FloatingPointError("a check of one's own")
    with open_trace(tmp_path / "loop.h5") as trace:
        assert trace.ended == {"status": "exception"}
        assert list(trace.statistics(kind="output")["n_nan"]) == [3]


@pytest.mark.parametrize(
    "values", [object(), "text", np.datetime64("2001-01-01")], ids=["object", "text", "time"]
)
def test_what_cannot_be_recorded_ends_the_recording_and_not_the_loop(
    values: Any, tmp_path: Path
) -> None:
    with LoopRecorder(tmp_path / "loop.h5") as recorder:
        for _ in range(3):
            recorder.begin_iteration()
            if recorder.is_open:
                with pytest.warns(RuntimeWarning, match="wants numbers.*the training goes on"):
                    recorder.tap("loss", values)
            else:
                recorder.tap("loss", values)
            recorder.end_iteration()


@pytest.mark.parametrize(("arguments", "verdict"), [((), "healthy"), (("--fault",), "faulty")])
def test_the_example_is_diagnosed(arguments: tuple[str, ...], verdict: str, tmp_path: Path) -> None:
    program = "import conftest, runpy, sys; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    example, path = str(ROOT / "examples" / "numpy_loop.py"), str(tmp_path / "loop.h5")
    command = [sys.executable, "-c", program, example, path, *arguments]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    diagnosis = analyze(path)
    assert diagnosis.verdict == verdict
    if diagnosis.first_fault is not None:
        assert diagnosis.first_fault.place.kind is Kind.OUTPUT
        assert diagnosis.first_fault.layer is not None
        assert diagnosis.first_fault.layer.name == "classes"
