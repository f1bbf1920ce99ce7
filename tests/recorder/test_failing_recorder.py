"""Where the recorder fails, nothing of ours is raised, and the training goes on."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeplocalize.recorder import Recorder
from deeplocalize.traces import Block, TraceWriteError, TraceWriter, create_writer, open_trace

from .fits import assert_untouched, build, fit


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
        ("deeplocalize.recorder.succession", "create_writer", failing_writer),
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
