"""The recorder on the NumPy network: nothing changes, and everything is in the trace."""

import json
import re
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from deeplocalize.analyzer import analyze
from deeplocalize.analyzer.cli import FAULT
from deeplocalize.analyzer.cli import main as analyze_command
from deeplocalize.analyzer.rules import Symptom
from deeplocalize.recorder import Recorder
from deeplocalize.recorder.numpynet import (
    BatchNormalization,
    Callback,
    CategoricalCrossentropy,
    Dense,
    Dropout,
    Sequential,
)
from deeplocalize.traces import Kind, open_trace
from deeplocalize.traces.statistics import statistics_row

from .numpynet.builders import Keeper, classifier, samples

ROOT = Path(__file__).parents[2]


def with_state(seed: int = 0) -> Sequential:
    network = Sequential(seed=seed)
    for layer in (
        Dense(6, "tanh", input_shape=(4,), name="hidden"),
        BatchNormalization(name="normal"),
        Dropout(0.5, name="drop"),
        Dense(3, "softmax", name="classes"),
    ):
        network.add(layer)
    network.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return network


def fit(network: Sequential, *callbacks: Any, **kwargs: Any) -> Any:
    x, y = samples(100)
    arguments = {"epochs": 2, "batch_size": 32, "verbose": 0, **kwargs}
    return network.fit(x, y, callbacks=list(callbacks), **arguments)


class Raise(Callback):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        if batch == 2:
            raise self.error


def test_recording_leaves_a_training_bit_identical(tmp_path: Path) -> None:
    plain, recorded = with_state(), with_state()
    history = fit(plain, validation_split=0.2).history
    recorder = Recorder(tmp_path / "run.h5")
    assert fit(recorded, recorder, validation_split=0.2).history == history
    for weight, same in zip(plain.get_weights(), recorded.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)
    for key, slots in plain.optimizer.slots.items():
        for name, slot in slots.items():
            np.testing.assert_array_equal(slot, recorded.optimizer.slots[key][name])
    assert recorded.taps == []
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.ended == {"status": "completed"}
        assert list(trace.iterations["epoch"]) == [0, 0, 0, 1, 1, 1]
        assert list(trace.iterations["n_samples"]) == [32, 32, 16] * 2
        epochs = [event for event in trace.reader.events() if event.name == "epoch"]
        assert [e.details["logs"]["val_loss"] for e in epochs] == history["val_loss"]


def test_the_trace_holds_what_the_step_computed(tmp_path: Path) -> None:
    network, keeper = with_state(), Keeper()
    network.taps.append(keeper)
    fit(network, Recorder(tmp_path / "run.h5", tensors=lambda iteration: True), epochs=1)
    assert network.taps == [keeper]
    with open_trace(tmp_path / "run.h5") as trace:
        block = trace.reader.read()
        entries = trace.reader.tensor_entries()
        assert len(entries) == 4 * len(trace.header.series)
        for entry in entries:
            series = trace.header.series[entry.series]
            layer = trace.header.layer_of(series)
            values = trace.reader.read_tensor(entry)
            if series.kind is not Kind.METRIC:
                wanted = (series.kind, layer.name if layer else None, series.tensor)
                seen = [s.copy for s in keeper.seen if (s.kind, s.layer, s.tensor) == wanted]
                np.testing.assert_array_equal(values, seen[entry.iteration])
            row = statistics_row(values, series.kind in (Kind.OUTPUT, Kind.PREACTIVATION))
            for column in ("n", "n_nan", "n_zero", "n_constant_units", "min", "max", "checksum"):
                found = block.statistics[column][entry.iteration, entry.series]
                np.testing.assert_array_equal(found, row[column])
        accuracy = trace.iterations["accuracy"].to_numpy()
        assert accuracy[-1] == np.float32(keeper.steps[-1]["accuracy"])


def test_the_header_tells_of_the_network(tmp_path: Path) -> None:
    fit(with_state(), Recorder(tmp_path / "run.h5"))
    with open_trace(tmp_path / "run.h5") as trace:
        header = trace.header
    assert header.framework == "numpynet"
    assert header.loss == "categorical_crossentropy"
    assert header.optimizer is not None
    assert header.optimizer["class_name"] == "Adam"
    assert header.metrics == ("accuracy",)
    assert (header.n_epochs, header.steps_per_epoch, header.seed) == (2, 4, 0)
    assert [(layer.name, layer.activation) for layer in header.layers] == [
        ("hidden", "tanh"),
        ("normal", None),
        ("drop", None),
        ("classes", "softmax"),
    ]
    labels = next(summary for summary in header.data if summary.role is Kind.LABEL)
    assert labels.is_one_hot
    assert labels.n_samples == 100


def test_the_header_tells_of_arguments_of_the_loss(tmp_path: Path) -> None:
    network = Sequential([Dense(3, input_shape=(4,))], seed=0)
    network.compile("adam", CategoricalCrossentropy(from_logits=True))
    fit(network, Recorder(tmp_path / "run.h5"), epochs=6)
    with open_trace(tmp_path / "run.h5") as trace:
        loss = trace.header.loss
    assert loss["class_name"] == "CategoricalCrossentropy"
    assert loss["config"]["from_logits"] is True
    symptoms = {finding.symptom for finding in analyze(tmp_path / "run.h5").findings}
    assert Symptom.NOT_PROBABILITIES not in symptoms


def test_the_learning_rate_is_the_one_that_the_layers_agree_on(tmp_path: Path) -> None:
    network = Sequential(seed=0)
    network.add(Dense(num_inputs=4, num_outputs=6, lr_rate=0.2))
    network.add(Dense(num_inputs=6, num_outputs=3, lr_rate=0.2))
    network.compile("sgd", "mse")
    fit(network, Recorder(tmp_path / "run.h5"), epochs=1)
    with open_trace(tmp_path / "run.h5") as trace:
        assert list(trace.iterations["learning_rate"]) == [0.2] * 4
        assert trace.header.optimizer is not None
        assert trace.header.optimizer["config"]["learning_rate"] == 0.2


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("broken"), "exception"), (KeyboardInterrupt(), "interrupted")]
)
def test_an_exception_closes_the_trace(error: BaseException, status: str, tmp_path: Path) -> None:
    network = classifier()
    with pytest.raises(type(error)):
        fit(network, Recorder(tmp_path / "run.h5"), Raise(error))
    assert network.taps == []
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.ended == {"status": status}
        assert trace.n_iterations == 3


def test_each_fit_gives_a_trace_of_its_own(tmp_path: Path) -> None:
    network, recorder = classifier(), Recorder(tmp_path / "run.h5")
    fit(network, recorder)
    fit(network, recorder, epochs=1)
    assert recorder.path == tmp_path / "run-2.h5"
    with open_trace(recorder.path) as trace:
        assert trace.n_iterations == 4


def broken(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("a defect of ours")


@pytest.mark.parametrize(
    ("where", "replacement"),
    [
        ("backends.numpynet.layer_descriptions", broken),
        ("backends.numpynet._placed", broken),
        ("step_collector.StepCollector._form", broken),
        ("step_recording.StepRecording.record", broken),
        ("recording.block_of", broken),
    ],
)
def test_a_recorder_that_fails_warns_once_and_training_ends_as_without_it(
    where: str, replacement: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, network = with_state(), with_state()
    fit(plain)
    monkeypatch.setattr(f"deeplocalize.recorder.{where}", replacement)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(network, Recorder(tmp_path / "run.h5"))
    assert len([w for w in caught if "deeplocalize" in str(w.message)]) == 1
    assert network.taps == []
    for weight, same in zip(plain.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)


def test_a_nan_is_localized_in_the_layer_that_makes_it(tmp_path: Path) -> None:
    network = classifier()
    kernel = network.layers[1].weights["kernel"]

    class Poison(Callback):
        def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
            if batch == 1:
                kernel[2, 1] = np.nan

    fit(network, Recorder(tmp_path / "run.h5"), Poison())
    fault = analyze(tmp_path / "run.h5").first_fault
    assert fault is not None
    assert (fault.moment.iteration, fault.place.kind) == (2, Kind.WEIGHT)
    assert fault.layer is not None
    assert (fault.layer.index, fault.layer.name) == (1, "classes")


def run_example(name: str, *arguments: str) -> str:
    """Run an example of the checkout's own; what it prints."""
    program = "import conftest, runpy, sys; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    command = [sys.executable, "-c", program, str(ROOT / "examples" / name), *arguments]
    done = subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=120
    )
    return done.stdout


def test_the_example_that_breaks_is_localized_by_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "nan.h5")
    assert "loss nan" in run_example("numpy_nan.py", path)
    assert analyze_command([path, "--format", "json"]) == FAULT
    document = json.loads(capsys.readouterr().out)
    assert document["first_fault"]["symptom"] == "non_finite"
    assert document["first_fault"]["kind"] == "loss"
    assert document["suspects"][0]["cause"] in ("learning_rate", "input_scale")


def test_the_example_in_the_originals_style_learns() -> None:
    found = re.search(r"test: loss .*, accuracy (0\.\d+)", run_example("main.py"))
    assert found
    assert float(found[1]) > 0.9


def test_with_keras_it_is_a_callback_of_keras() -> None:
    assert issubclass(Recorder, keras.callbacks.Callback)


def run_without(modules: tuple[str, ...], code: str) -> subprocess.CompletedProcess[str]:
    program = f"import sys\nfor name in {modules}: sys.modules[name] = None\n"
    program += "import conftest\n" + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_it_records_where_there_is_neither_keras_nor_tensorflow(tmp_path: Path) -> None:
    done = run_without(
        ("keras", "tensorflow", "jax", "torch"),
        f"""
        import numpy as np
        from deeplocalize.recorder import DeepLocalize, LoopRecorder, Recorder
        from deeplocalize.recorder.numpynet import Dense, Sequential
        network = Sequential([Dense(1, input_shape=(3,))])
        network.compile("sgd", "mse")
        x = np.ones((64, 3))
        network.fit(x, x[:, :1], verbose=0, callbacks=[Recorder({str(tmp_path / "run.h5")!r})])
        assert not any(name.startswith("deeplocalize.analyzer.reports") for name in sys.modules)
        """,
    )
    assert done.returncode == 0, done.stderr
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.n_iterations == 2


def test_a_missing_numba_is_asked_for_by_the_extra_that_brings_it() -> None:
    done = run_without(("numba",), "from deeplocalize.recorder import Recorder")
    assert "pip install 'deeplocalize[recorder]'" in done.stderr


def test_recording_does_not_import_the_analyzer() -> None:
    done = run_without(
        ("deeplocalize.analyzer",), "from deeplocalize.recorder import LoopRecorder, Recorder"
    )
    assert done.returncode == 0, done.stderr
