"""Fits of one model, one after another, with a recorder and without."""

from pathlib import Path

import keras
import numpy as np
import pytest

from deeplocalize.recorder import Recorder
from deeplocalize.traces import open_trace

from .fits import assert_untouched, build, fit
from .raising import Raise


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


def test_the_first_of_two_recorders_records_a_fit_and_the_other_says_why_it_does_not(
    tmp_path: Path,
) -> None:
    model = build()
    both = [Recorder(tmp_path / name) for name in ("a.h5", "b.h5")]
    with pytest.warns(RuntimeWarning, match="another Recorder or DeepLocalize records this fit"):
        fit(model, *both)
    with open_trace(tmp_path / "a.h5") as first, open_trace(tmp_path / "b.h5") as second:
        assert first.n_iterations == 10
        assert first.ended == {"status": "completed"}
        assert second.n_iterations == 0
        assert second.ended == {"status": "failed"}
    assert_untouched(model)


def test_a_recorder_that_is_given_to_a_fit_within_its_fit_says_so(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "run.h5")
    inner = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: fit(build(), recorder))
    with pytest.warns(RuntimeWarning, match="records one fit at a time"):
        fit(build(), recorder, inner)
    with open_trace(tmp_path / "run-2.h5") as trace:
        assert trace.n_iterations == 10
        assert trace.ended == {"status": "completed"}
