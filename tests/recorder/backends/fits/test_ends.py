"""However a fit ends, nothing of the recorder stays."""

import warnings
from pathlib import Path
from typing import Any

import keras
import pytest

from deeplocalize.recorder import Recorder
from deeplocalize.traces import open_trace

from ...raising import Raise
from .builders import BACKEND, X, Y, assert_same, assert_untouched, build, fit


def test_fits_with_and_without_a_recorder_may_follow_each_other(tmp_path: Path) -> None:
    model = build()
    recorder = Recorder(tmp_path / "run.h5")
    histories = [fit(model, recorder), fit(model), fit(model, recorder)]
    plain = build()
    assert histories == [fit(plain) for _ in range(3)]
    assert_same(model, plain)
    assert_untouched(model)
    for path in (tmp_path / "run.h5", recorder.path):
        with open_trace(path) as trace:
            assert trace.ended == {"status": "completed"}
            assert trace.n_iterations == 4


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_epoch_end"])
@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "exception"), (KeyboardInterrupt, "interrupted")]
)
def test_an_exception_in_a_callback_closes_the_trace(
    error: type[BaseException], status: str, hook: str, tmp_path: Path
) -> None:
    model = build()
    with pytest.raises(error):
        fit(model, Recorder(tmp_path / "run.h5"), Raise(error, hook, at=1), epochs=3)
    assert_untouched(model)
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.ended == {"status": status}
        assert trace.n_iterations == (2 if hook == "on_train_batch_end" else 8)


def test_an_exception_from_the_data_closes_the_trace(tmp_path: Path) -> None:
    class Data(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> Any:
            if index == 2:
                raise ValueError("broken")
            return X[:25], Y[:25]

    model = build()
    with pytest.raises(Exception, match="broken"):
        recorder = Recorder(tmp_path / "run.h5")
        model.fit(Data(), verbose=0, shuffle=False, callbacks=[recorder])
    assert_untouched(model)
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.ended == {"status": "exception"}


def test_a_fit_after_an_interrupted_one_is_not_recorded_into_its_trace(tmp_path: Path) -> None:
    model = build()
    stop = Raise(KeyboardInterrupt, "on_train_batch_end", at=1)
    with pytest.raises(KeyboardInterrupt):
        fit(model, Recorder(tmp_path / "run.h5"), stop)
    fit(model)
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.n_iterations == 2


def broken(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("a defect of ours")


@pytest.mark.parametrize(
    "where",
    [
        "step_recording.StepRecording.record",
        "session.Session.plan",
        "keras_model.describe_layers",
        f"backends.{BACKEND}.attach",
        f"backends.{BACKEND}_patches.StepPatches._add_call",
        f"backends.{BACKEND}_patches.StepPatches._add_output_gradients",
        f"backends.{BACKEND}_patches.StepPatches._add_weight_gradients",
    ],
)
@pytest.mark.parametrize("run_eagerly", [False, True])
def test_a_recorder_that_fails_warns_once_and_training_ends_as_without_it(
    run_eagerly: bool, where: str, tmp_path: Path, monkeypatch: Any
) -> None:
    plain = build(run_eagerly=run_eagerly)
    expected = fit(plain)
    monkeypatch.setattr(f"deeplocalize.recorder.{where}", broken)
    model = build(run_eagerly=run_eagerly)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = fit(model, Recorder(tmp_path / "run.h5"))
    assert len([w for w in caught if "deeplocalize" in str(w.message)]) == 1
    assert history == expected
    assert_same(model, plain)
    assert_untouched(model)
