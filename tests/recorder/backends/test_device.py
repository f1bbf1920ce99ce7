"""Statistics taken where the step computes: the trace and the training are as they are without.

A GPU is pretended; the path is the same on the CPU.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from deeplocalize.recorder import Recorder
from deeplocalize.recorder.schedule import every
from deeplocalize.recorder.session import Session
from deeplocalize.recorder.step_values import ABSENT, StepValues
from deeplocalize.traces import Kind, Trace, open_trace
from deeplocalize.traces.schema import STATISTICS

from ..models import CASES
from ..test_bit_identity import MODES, assert_same, outcome, unrecorded

BACKENDS = "deeplocalize.recorder.backends"
tensorflow_device = pytest.importorskip(f"{BACKENDS}.tensorflow_device")
tensorflow_statistics = pytest.importorskip(f"{BACKENDS}.tensorflow_statistics")

EXACT = [c.name for c in STATISTICS if c.dtype != "float64"] + ["min", "max"]
SCALES = {"mean": "mean_abs", "mean_abs": "mean_abs", "rms": "rms"}
RELATIVE = 2e-6
"""The host adds up blocks in float32, the device all in float64."""

Steps = list[StepValues]


@pytest.fixture(autouse=True)
def default_policy() -> Iterator[None]:
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> Steps:
    """What sessions are handed, step by step."""
    steps: Steps = []
    step = Session.step

    def observed(self: Session, plan: Any, values: StepValues, age_s: float = 0.0) -> bool:
        steps.append(values)
        return step(self, plan, values, age_s)

    monkeypatch.setattr(Session, "step", observed)
    return steps


@pytest.fixture
def on_compiling_device(monkeypatch: pytest.MonkeyPatch, handed: Steps) -> Steps:
    """From here on there is a GPU."""
    monkeypatch.setattr(tensorflow_device, "has_gpu", lambda: True)
    return handed


@pytest.fixture
def on_device(monkeypatch: pytest.MonkeyPatch, on_compiling_device: Steps) -> Steps:
    """The same without XLA, which takes seconds for each model."""
    monkeypatch.setattr(tensorflow_statistics, "_compiled_rows", tensorflow_statistics._rows_apart)
    return on_compiling_device


@pytest.fixture(scope="module")
def on_host(tmp_path_factory: Any) -> Callable[..., Path]:
    """A trace that the host makes of a training, once for the same options."""
    directory = tmp_path_factory.mktemp("host")
    made: dict[str, Path] = {}

    def trace_of(name: str, mode: str = "graph", **options: Any) -> Path:
        key = f"{name}-{mode}-{sorted(options)}"
        if key not in made:
            made[key] = directory / f"{len(made)}.h5"
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(tensorflow_device, "has_gpu", lambda: False)
                outcome(CASES[name], MODES[mode], [Recorder(made[key], **options)])
        return made[key]

    return trace_of


def record(path: Path, name: str = "mlp", mode: str = "graph", **options: Any) -> None:
    """Record a training; it must be the one that it is without a recorder."""
    found = outcome(CASES[name], MODES[mode], [Recorder(path, **options)])
    assert_same(found, unrecorded(name, mode))


def record_broken(path: Path, **options: Any) -> Any:
    """Ten batches of ten, of which the eighth has a NaN in its fourth sample."""
    case = CASES["mlp"]
    x = case.x.copy()
    x[73, 2] = np.nan
    keras.utils.set_random_seed(7)
    model = case.build()
    model.compile("adam", case.loss(), jit_compile=False)
    recorder = Recorder(path, **options)
    model.fit(x, case.labels, batch_size=10, shuffle=False, verbose=0, callbacks=[recorder])
    return x


def assert_equal_statistics(found: Trace, expected: Trace) -> None:
    ours, theirs = found.statistics(), expected.statistics()
    assert len(ours) == len(theirs) > 0
    for name, scale in SCALES.items():
        assert (abs(ours[name] - theirs[name]) <= RELATIVE * theirs[scale]).all()
    for name in EXACT:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def assert_equal_traces(ours: Path, theirs: Path) -> None:
    with open_trace(ours) as found, open_trace(theirs) as expected:
        assert_equal_statistics(found, expected)
        for column in expected.iterations.columns.drop("time_s"):
            np.testing.assert_array_equal(found.iterations[column], expected.iterations[column])
        assert found.header.series == expected.header.series
        assert found.header.unrecorded == expected.header.unrecorded
        for one, other in zip(found.header.data, expected.header.data, strict=True):
            assert replace(one, mean=other.mean, std=other.std) == other
            assert (one.mean, one.std) == pytest.approx((other.mean, other.std), RELATIVE)


def assert_all_by_device(steps: Steps) -> None:
    assert len(steps) == 8
    assert all(values.rows is not None for values in steps)


def assert_equal_tensors(found: Trace, expected: Trace) -> None:
    ours, theirs = found.reader.tensor_entries(), expected.reader.tensor_entries()
    assert ours == theirs
    assert ours
    for entry, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(
            found.reader.read_tensor(entry), expected.reader.read_tensor(other)
        )


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("mlp", "graph"),
        ("cnn", "graph"),
        ("batch_normalization", "graph"),
        ("batch_normalization", "several_steps"),
    ],
)
def test_the_device_makes_the_trace_of_the_host(
    name: str, mode: str, on_host: Any, on_device: Steps, tmp_path: Path
) -> None:
    expected = on_host(name, mode)
    on_device.clear()
    record(tmp_path / "run.h5", name, mode)
    assert_all_by_device(on_device)
    assert_equal_traces(tmp_path / "run.h5", expected)


def test_programs_of_xla_make_it_too(
    on_host: Any, on_compiling_device: Steps, tmp_path: Path
) -> None:
    expected = on_host("mlp")
    on_compiling_device.clear()
    record(tmp_path / "run.h5")
    assert_all_by_device(on_compiling_device)
    assert_equal_traces(tmp_path / "run.h5", expected)


def test_only_the_batch_and_the_loss_leave_the_device(on_device: Steps, tmp_path: Path) -> None:
    record(tmp_path / "run.h5")
    with open_trace(tmp_path / "run.h5") as trace:
        kinds = [series.kind for series in trace.header.series]
    for values in on_device:
        given = [k for k, x in zip(kinds, values.tensors, strict=True) if x is not ABSENT]
        assert given == [Kind.INPUT, Kind.LABEL, Kind.LOSS]


@pytest.mark.parametrize("options", [{"tensors": every(3)}, {"replayable": 3}])
def test_tensors_are_kept_as_by_the_host(
    options: dict[str, Any], on_host: Any, on_device: Steps, tmp_path: Path
) -> None:
    expected_path = on_host("batch_normalization", **options)
    record(tmp_path / "run.h5", "batch_normalization", **options)
    assert on_device[-1].rows is not None
    with open_trace(tmp_path / "run.h5") as found, open_trace(expected_path) as expected:
        assert_equal_tensors(found, expected)


def test_elements_are_counted_as_by_the_host(
    on_host: Any, on_device: Steps, tmp_path: Path
) -> None:
    expected_path = on_host("mlp", histograms=every(3))
    record(tmp_path / "run.h5", histograms=every(3))
    with open_trace(tmp_path / "run.h5") as found, open_trace(expected_path) as expected:
        assert list(found.reader.histograms()) == list(expected.reader.histograms()) != []


def test_schedules_leave_out_what_the_device_has_reduced(on_device: Steps, tmp_path: Path) -> None:
    record_broken(tmp_path / "run.h5", schedule=every(5))
    with open_trace(tmp_path / "run.h5") as trace:
        statistics = trace.statistics(kind="output")
        assert sorted(set(statistics["iteration"])) == [0, 5, 7]


def test_the_iteration_that_breaks_is_kept_with_its_batch_and_weights(
    on_device: Steps, tmp_path: Path
) -> None:
    x = record_broken(tmp_path / "run.h5")
    with open_trace(tmp_path / "run.h5") as trace:
        assert set(trace.tensors["iteration"]) == {7}
        batch = trace.tensor(7, kind="input")
        np.testing.assert_array_equal(batch, x[70:80])
        assert np.flatnonzero(np.isnan(batch).any(axis=1)).tolist() == [3]
        for kind in ("weight", "weight_gradient", "weight_update"):
            kept = trace.tensor(7, layer="out", kind=kind, tensor="kernel")
            row = trace.statistics(layer="out", kind=kind, tensor="kernel").iloc[7]
            assert (kept.size, np.isnan(kept).sum()) == (row["n"], row["n_nan"])
        assert Kind.OUTPUT not in set(trace.tensors["kind"])


def test_no_ring_keeps_nothing(on_device: Steps, tmp_path: Path) -> None:
    record_broken(tmp_path / "run.h5", ring_bytes=0)
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.tensors.empty
        assert trace.ended == {"status": "completed"}


def test_the_ring_has_no_gaps(on_device: Steps, tmp_path: Path) -> None:
    # What is copied to count its elements goes through the ring.
    record_broken(tmp_path / "run.h5", histograms=lambda iteration: iteration in (2, 3, 6))
    with open_trace(tmp_path / "run.h5") as trace:
        assert set(trace.tensors["iteration"]) == {6, 7}


def test_a_trigger_finds_the_iterations_before_it(on_device: Steps, tmp_path: Path) -> None:
    record(tmp_path / "run.h5", trigger=lambda iteration, loss: iteration == 4)
    with open_trace(tmp_path / "run.h5") as trace:
        assert set(trace.tensors["iteration"]) == set(range(5))
        assert Kind.OUTPUT in set(trace.tensors["kind"])


def test_what_is_replayed_is_handed_over_by_the_host(on_device: Steps, tmp_path: Path) -> None:
    record(tmp_path / "run.h5", exact=every(4))
    assert all(values.rows is None for values in on_device)
    with open_trace(tmp_path / "run.h5") as trace:
        assert set(trace.statistics(kind="replay_error")["iteration"]) == {0, 4}


def test_a_device_that_takes_no_statistics_is_noted_and_left_alone(
    on_device: Steps, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*arguments: Any) -> Any:
        raise RuntimeError("libdevice not found")

    monkeypatch.setattr(tensorflow_device, "statistics_rows", fail)
    with pytest.warns(RuntimeWarning, match="libdevice not found") as warned:
        record(tmp_path / "run.h5")
    assert len([one for one in warned if "libdevice" in str(one.message)]) == 1
    assert all(values.rows is None for values in on_device)
    with open_trace(tmp_path / "run.h5") as trace:
        notes = [event.message for event in trace.reader.events() if event.name == "note"]
        assert len(notes) == 1
        assert trace.ended == {"status": "completed"}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_device_leaves_every_model_bit_identical(
    name: str, on_compiling_device: Steps, tmp_path: Path
) -> None:
    record(tmp_path / "run.h5", name)
    assert_all_by_device(on_compiling_device)
