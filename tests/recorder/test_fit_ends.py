"""However a fit ends, the model is as it was, and the trace says how."""

import contextlib
import gc
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplocalize.recorder import Recorder, when_gone
from deeplocalize.traces import (
    open_trace,
)

from .fits import assert_untouched, build, fit
from .raising import Raise


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
