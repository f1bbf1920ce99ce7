"""However a fit ends, the model is as it was, the trace says how, and nothing of ours is raised."""

import contextlib
import gc
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.layers.layer import Layer

from deeplocalize.recorder import Recorder, when_gone
from deeplocalize.traces import (
    Block,
    TraceExistsError,
    TraceFormatError,
    TraceWriteError,
    TraceWriter,
    create_writer,
    open_trace,
)

from .models import CASES


def build() -> Any:
    keras.utils.set_random_seed(7)
    model = CASES["mlp"].build()
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def fit(model: Any, *callbacks: Any, **kwargs: Any) -> Any:
    case = CASES["mlp"]
    arguments = {"batch_size": 10, "epochs": 1, "verbose": 0, **kwargs}
    return model.fit(case.x, case.labels, callbacks=list(callbacks), **arguments)


class Raise(keras.callbacks.Callback):
    """Raises in one of Keras's hooks."""

    def __init__(self, error: type[BaseException], hook: str, at: int = 3) -> None:
        super().__init__()
        self.error, self.at = error, at
        setattr(self, hook, self.act)

    def act(self, index: int = 0, logs: Any = None) -> None:
        if index == self.at:
            raise self.error("broken")


def assert_untouched(model: Any) -> None:
    """Nothing of the recorder is left on the model or on the framework's classes."""
    assert "train_step" not in model.__dict__
    assert "compute_loss" not in model.__dict__
    assert "apply" not in model.optimizer.__dict__
    assert model.train_function.__module__.startswith("keras.")
    assert Layer.__call__.__qualname__.startswith("Layer.")
    assert tf.GradientTape.gradient.__qualname__.startswith("GradientTape.")
    for layer in model.layers:
        activation = layer.__dict__.get("activation")
        assert activation is None or activation.__module__.startswith("keras")


def test_a_fit_that_ends_well_leaves_no_trace_on_the_model(tmp_path: Path) -> None:
    model = build()
    fit(model, Recorder(tmp_path / "run.h5"))
    assert_untouched(model)


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_train_batch_begin"])
@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError, "exception"), (KeyboardInterrupt, "interrupted")],
)
def test_an_exception_in_another_callback_closes_the_trace(
    error: type[BaseException], status: str, hook: str, tmp_path: Path
) -> None:
    model = build()
    with pytest.raises(error):
        fit(model, Recorder(tmp_path / "run.h5"), Raise(error, hook))
    assert_untouched(model)
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.ended == {"status": status}
        assert trace.n_iterations == (4 if hook == "on_train_batch_end" else 3)


@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_epoch_end"])
def test_an_exception_between_epochs_closes_the_trace(hook: str, tmp_path: Path) -> None:
    model = build()
    # Not pytest.raises, which keeps the traceback and with it the frame of fit.
    with contextlib.suppress(ValueError):
        fit(model, Recorder(tmp_path / "run.h5"), Raise(ValueError, hook, 0))
    assert_untouched(model)
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.ended == {"status": "exception"}


def test_an_exception_inside_the_step_closes_the_trace(tmp_path: Path) -> None:
    def explode(x: Any) -> Any:
        return tf.debugging.check_numerics(x, "found it")

    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [keras.Input((16,)), keras.layers.Lambda(explode), keras.layers.Dense(3)]
    )
    model.compile("sgd", "mse")
    x = np.ones((100, 16), np.float32)
    x[35] = np.nan
    with pytest.raises(tf.errors.InvalidArgumentError):
        model.fit(
            x,
            np.zeros((100, 3)),
            batch_size=10,
            shuffle=False,
            verbose=0,
            callbacks=[Recorder(tmp_path / "run.h5")],
        )
    assert_untouched(model)
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.ended == {"status": "exception"}
        assert "InvalidArgumentError" in trace.reader.events()[-1].message
        assert trace.n_iterations == 3


def test_epochs_end_where_a_data_set_of_unknown_length_does(tmp_path: Path) -> None:
    case = CASES["mlp"]

    def batches() -> Any:
        for first in range(0, 100, 20):
            yield case.x[first : first + 20], case.labels[first : first + 20]

    signature = (tf.TensorSpec((None, 16)), tf.TensorSpec((None,), tf.int32))
    data = tf.data.Dataset.from_generator(batches, output_signature=signature)
    model, plain = build(), build()
    model.fit(data, epochs=3, verbose=0, callbacks=[Recorder(tmp_path / "run.h5")])
    plain.fit(data, epochs=3, verbose=0)
    for a, b in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.n_iterations == 15
        assert trace.ended == {"status": "completed"}


def test_a_process_forked_from_a_recorded_one_can_record(tmp_path: Path) -> None:
    done = run_script(
        """
        import os
        big = np.ones((4096, 256), np.float32)
        from deeplocalize.recorder.kernel import COLUMNS, StepKernel
        kernel = StepKernel([False, False])
        out = np.empty((2, len(COLUMNS)), np.int64)
        kernel([big, big], [None, None], out)  # enough for a second thread
        child = os.fork()
        if not child:
            kernel([big, big], [None, None], out)
            os._exit(7)
        print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """,
        tmp_path,
    )
    assert "child 7" in done.stdout, done.stderr


def test_a_failing_recorder_does_not_stop_a_training_in_which_warnings_are_errors(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("deeplocalize.recorder.step_recording.StepRecording.record", broken)
    model = build()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        fit(model, Recorder(tmp_path / "run.h5"))
    assert int(model.optimizer.iterations.numpy()) == 10
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.ended == {"status": "failed"}


def test_recorders_that_are_never_used_leave_nothing_behind(tmp_path: Path) -> None:
    for name in ("run.h5", "run.parquet"):
        for _ in range(2):
            Recorder(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_training_stopped_by_another_callback_is_recorded_as_stopped(tmp_path: Path) -> None:
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = batch == 4

    model = build()
    fit(model, Recorder(tmp_path / "run.h5"), Stop(), epochs=3)
    assert_untouched(model)
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.ended == {"status": "stopped"}
        assert trace.n_iterations == 5


def test_each_fit_of_one_recorder_gives_a_trace_of_its_own(tmp_path: Path) -> None:
    model, plain = build(), build()
    recorder = Recorder(tmp_path / "run.h5")
    for _ in range(2):
        fit(model, recorder)
        fit(plain)
    assert recorder.path == tmp_path / "run-2.h5"
    with open_trace(tmp_path / "run.h5") as first, open_trace(tmp_path / "run-2.h5") as second:
        assert first.n_iterations == second.n_iterations == 10
        after = first.statistics(layer="out", kind="weight_update", start=9)
        assert len(after) == 2
    for a, b in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_fits_with_and_without_a_recorder_may_follow_each_other(tmp_path: Path) -> None:
    model, plain = build(), build()
    fit(model, Recorder(tmp_path / "a.h5"))
    fit(model)
    fit(model, Recorder(tmp_path / "b.h5"))
    for _ in range(3):
        fit(plain)
    for a, b in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_fit_after_an_interrupted_one_is_not_recorded_into_its_trace(tmp_path: Path) -> None:
    model = build()
    with pytest.raises(KeyboardInterrupt):
        fit(model, Recorder(tmp_path / "a.h5"), Raise(KeyboardInterrupt, "on_train_batch_end"))
    fit(model)
    with open_trace(tmp_path / "a.h5") as trace:
        assert trace.n_iterations == 4


def test_a_model_is_as_it_was_before_the_trace_of_a_fit_that_never_began_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build()
    fit(model)
    original = model.train_function

    class RaiseAtOnce(keras.callbacks.Callback):
        """Raises where the recorder has just begun."""

        def on_train_begin(self, logs: Any = None) -> None:
            raise RuntimeError("broken")

    def refuse(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr("deeplocalize.recorder.when_gone._thread.start_new_thread", refuse)
        with pytest.raises(RuntimeError, match="broken"):
            fit(model, Recorder(tmp_path / "run.h5"), RaiseAtOnce())
        gc.collect()
    assert model.train_function is original
    second = Recorder(tmp_path / "second.h5")
    observing: list[Any] = []

    class CloseTheFirst(keras.callbacks.Callback):
        """Does what was put off, while another recorder observes the model."""

        def on_train_begin(self, logs: Any = None) -> None:
            observing.append(model.train_function)
            when_gone.wait()
            observing.append(model.train_function)

    fit(model, second, CloseTheFirst())
    assert observing[0] is observing[1] is not original
    assert_untouched(model)
    for name, status in (("run.h5", "exception"), ("second.h5", "completed")):
        with open_trace(tmp_path / name) as trace:
            assert trace.ended is not None
            assert trace.ended["status"] == status


def test_epochs_and_validation_metrics_are_noted(tmp_path: Path) -> None:
    model = build()
    case = CASES["mlp"]
    history = fit(
        model,
        Recorder(tmp_path / "run.h5"),
        epochs=2,
        validation_data=(case.x, case.labels),
        validation_batch_size=50,
    )
    with open_trace(tmp_path / "run.h5") as trace:
        logs = [e.details["logs"] for e in trace.reader.events() if e.name == "epoch"]
        assert [log["val_loss"] for log in logs] == history.history["val_loss"]
        iterations = trace.iterations
    assert list(iterations["epoch"]) == [0] * 10 + [1] * 10
    assert list(iterations["batch"]) == [*range(10)] * 2


def failing_writer(path: Path, overwrite: bool) -> TraceWriter:
    """A writer that dies when the second block comes."""
    writer = create_writer(path, overwrite)
    append = writer.append

    def append_once(block: Block) -> None:
        if block.iterations["iteration"][0] > 0:
            raise TraceWriteError("run.h5: no space left on device")
        append(block)

    setattr(writer, "append", append_once)  # noqa: B010  # mypy forbids assigning a method
    return writer


def broken(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("a defect of ours")


PATCHES = "deeplocalize.recorder.backends.tensorflow_patches.StepPatches"


@pytest.mark.parametrize(
    ("where", "name", "replacement"),
    [
        ("deeplocalize.recorder.recorder", "create_writer", failing_writer),
        ("deeplocalize.recorder.step_recording.StepRecording", "record", broken),
        ("deeplocalize.recorder.session.Session", "plan", broken),
        ("deeplocalize.recorder.keras_model", "describe_layers", broken),
        ("deeplocalize.recorder.backends.tensorflow", "attach", broken),
        (PATCHES, "_add_call", broken),
        (PATCHES, "_add_output_gradients", broken),
        (PATCHES, "_add_weight_gradients", broken),
        ("deeplocalize.recorder.backends.tensorflow_tap", "tap_batch", broken),
        ("deeplocalize.recorder.recording", "block_of", broken),
    ],
)
def test_a_recorder_that_fails_warns_once_and_training_ends_as_without_it(
    where: str, name: str, replacement: Callable[..., Any], tmp_path: Path, monkeypatch: Any
) -> None:
    plain = build()
    expected = fit(plain, epochs=3).history
    monkeypatch.setattr(f"{where}.{name}", replacement)
    monkeypatch.setattr("deeplocalize.recorder.recording.BLOCK_BYTES", 1)
    model = build()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = fit(model, Recorder(tmp_path / "run.h5"), epochs=3).history
    assert [str(w.message) for w in caught if "deeplocalize" in str(w.message)] != []
    assert len([w for w in caught if "deeplocalize" in str(w.message)]) == 1
    assert history == expected
    for a, b in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert_untouched(model)


def test_an_existing_trace_is_refused_unless_overwriting(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    fit(build(), Recorder(path))
    with pytest.raises(TraceExistsError, match="overwrite=True"):
        Recorder(path)
    fit(build(), Recorder(path, overwrite=True), epochs=2)
    with open_trace(path) as trace:
        assert trace.n_iterations == 20


def test_a_path_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(TraceWriteError, match="missing"):
        Recorder(tmp_path / "missing" / "run.h5")
    with pytest.raises(TraceFormatError, match=r"\.h5"):
        Recorder(tmp_path / "run.txt")


def run_script(body: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    script = f"""
        import resource, signal, sys
        import numpy as np, keras
        import conftest
        from deeplocalize.recorder import Recorder
        keras.utils.set_random_seed(1)
        layers = [keras.Input((16,)), keras.layers.Dense(64), keras.layers.Dense(3)]
        model = keras.Sequential(layers)
        model.compile("sgd", "mse")
        x, y = np.ones((1000, 16)), np.ones((1000, 3))
        path = {str(tmp_path / "run.h5")!r}
    """
    code = textwrap.dedent(script) + textwrap.dedent(body)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )


def test_a_script_that_dies_of_an_exception_leaves_a_closed_trace(tmp_path: Path) -> None:
    done = run_script(
        """
        class Die(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                raise ValueError("broken")
        model.fit(x, y, batch_size=10, verbose=0, callbacks=[Recorder(path), Die()])
        """,
        tmp_path,
    )
    assert "ValueError: broken" in done.stderr
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.n_iterations == 100
        assert trace.ended == {"status": "exception"}


def test_a_full_disk_ends_the_recording_and_not_the_training(tmp_path: Path) -> None:
    done = run_script(
        """
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        recorder = Recorder(path)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, 4_000_000))
        import deeplocalize.recorder.recording as recording
        recording.BLOCK_BYTES = 200_000
        model.fit(x, y, batch_size=1, epochs=10, verbose=0, callbacks=[recorder])
        print("trained", model.optimizer.iterations.numpy())
        """,
        tmp_path,
    )
    assert "trained 10000" in done.stdout, done.stderr
    assert done.stderr.count("deeplocalize stopped recording") == 1
    with open_trace(tmp_path / "run.h5") as trace:
        assert 0 < trace.n_iterations < 10000
        assert np.isfinite(trace.reader.read().statistics["rms"][:, 0]).all()
