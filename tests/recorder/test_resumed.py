"""A training that goes on from an earlier one leaves a trace that goes on from the earlier."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from deeplocalize.analyzer import analyze
from deeplocalize.recorder import Recorder
from deeplocalize.recorder.continuation import continuation_of
from deeplocalize.recorder.numpynet import Sequential
from deeplocalize.recorder.numpynet.layers import Dense
from deeplocalize.traces import TraceNotFoundError, open_trace

from .fits import assert_untouched, build, fit
from .models import FEATURES, LABELS, VECTORS


@pytest.mark.parametrize("suffix", [".h5", ".parquet"])
def test_a_fit_with_initial_epoch_numbers_its_iterations_on(suffix: str, tmp_path: Path) -> None:
    model, plain = build(), build()
    recorder = Recorder(tmp_path / f"run{suffix}")
    histories = [
        [
            fit(one, *callbacks, epochs=2).history,
            fit(one, *callbacks, epochs=4, initial_epoch=2).history,
        ]
        for one, callbacks in ((model, [recorder]), (plain, []))
    ]
    assert histories[0] == histories[1]
    for a, b in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert_untouched(model)
    first, second = tmp_path / f"run{suffix}", tmp_path / f"run-2{suffix}"
    with open_trace(first) as earlier, open_trace(second) as trace:
        assert not earlier.header.is_resumed
        assert trace.header.continues == str(first)
        assert trace.header.n_updates_before == 20
        assert list(trace.iterations["iteration"]) == list(range(20, 40))
        assert list(trace.iterations["epoch"]) == [2] * 10 + [3] * 10
        before = earlier.statistics(layer="out", kind="weight", tensor="kernel")["checksum"]
        after = trace.statistics(layer="out", kind="weight", tensor="kernel", start=20)
        assert list(after["iteration"]) == list(range(20, 40))
        assert after["checksum"].iloc[0] not in set(before)
    assert "goes on from" in analyze(second).run.notes[0]


def test_a_checkpoint_goes_on_where_it_was_taken(tmp_path: Path) -> None:
    """The earlier training had gone on after its checkpoint, and was then killed."""
    model = build()
    recorder = Recorder(tmp_path / "first.h5", schedule=lambda iteration: iteration % 4 == 0)
    saved = keras.callbacks.ModelCheckpoint(
        str(tmp_path / "model-{epoch}.keras"), save_freq="epoch", verbose=0
    )
    fit(model, recorder, saved, epochs=3)
    resumed = keras.models.load_model(tmp_path / "model-2.keras")
    plain = keras.models.load_model(tmp_path / "model-2.keras")
    second = Recorder(
        tmp_path / "second.h5",
        schedule=lambda iteration: iteration % 4 == 0,
        continues=tmp_path / "first.h5",
    )
    found = fit(resumed, second, epochs=3, initial_epoch=2).history
    assert found == fit(plain, epochs=3, initial_epoch=2).history
    for a, b in zip(resumed.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with open_trace(tmp_path / "second.h5") as trace:
        assert trace.header.n_updates_before == 20
        assert list(trace.iterations["iteration"]) == list(range(20, 30))
        # Schedules count on, too.
        assert sorted(set(trace.statistics()["iteration"])) == [20, 24, 28]


def test_a_trace_to_go_on_from_must_exist(tmp_path: Path) -> None:
    with pytest.raises(TraceNotFoundError, match="missing"):
        Recorder(tmp_path / "run.h5", continues=tmp_path / "missing.h5")


def test_a_trace_does_not_go_on_from_itself(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    fit(build(), Recorder(path))
    with pytest.raises(ValueError, match="would replace itself"):
        Recorder(path, overwrite=True, continues=path)
    with open_trace(path) as trace:
        assert trace.n_iterations == 10


def test_another_model_or_a_second_fit_from_its_first_epoch_is_a_training_of_its_own(
    tmp_path: Path,
) -> None:
    recorder = Recorder(tmp_path / "run.h5")
    fit(build(), recorder)
    fit(build(), recorder, epochs=2, initial_epoch=1)
    model = build()
    fit(model, recorder)
    fit(model, recorder)
    for number, n_updates in ((2, 0), (3, 0), (4, 10)):
        with open_trace(tmp_path / f"run-{number}.h5") as trace:
            assert trace.header.continues is None
            assert trace.header.n_updates_before == n_updates
            assert trace.iterations["iteration"].iloc[0] == 0


def test_the_numpy_network_goes_on_in_the_same_way(tmp_path: Path) -> None:
    network = Sequential([Dense(3, activation="softmax", input_shape=(FEATURES,))], seed=1)
    network.compile("sgd", "sparse_categorical_crossentropy")
    recorder = Recorder(tmp_path / "run.h5")
    for first, last in ((0, 2), (2, 3)):
        network.fit(
            VECTORS, LABELS, batch_size=10, epochs=last, initial_epoch=first, callbacks=[recorder]
        )
    with open_trace(tmp_path / "run-2.h5") as trace:
        assert list(trace.iterations["iteration"]) == list(range(20, 30))
        assert trace.header.n_updates_before == 20
    found = [continuation_of(tmp_path / "run-2.h5", epoch).first_iteration for epoch in (1, 2, 3)]
    assert found == [20, 20, 30]


@pytest.mark.parametrize("suffix", [".h5", ".parquet"])
def test_both_traces_outlive_a_killed_process(suffix: str, tmp_path: Path) -> None:
    script = """
        import os, signal, sys
        import numpy as np
        import conftest
        from deeplocalize.recorder import Recorder
        from deeplocalize.recorder.numpynet import Sequential
        from deeplocalize.recorder.numpynet.callbacks import Callback
        from deeplocalize.recorder.numpynet.layers import Dense
        import deeplocalize.recorder.recording as recording
        recording.BLOCK_BYTES = 1
        recorder = Recorder(sys.argv[1])
        network = Sequential([Dense(3, input_shape=(4,))], seed=1)
        network.compile("sgd", "mse")
        x, y = np.ones((40, 4)), np.zeros((40, 3))
        network.fit(x, y, batch_size=10, epochs=2, callbacks=[recorder])

        class Die(Callback):
            def on_epoch_end(self, epoch, logs=None):
                if epoch == 5:
                    recorder._session._recording._queue.join()  # what has been handed over
                    os.kill(os.getpid(), signal.SIGKILL)

        network.fit(x, y, batch_size=10, epochs=9, initial_epoch=2, callbacks=[recorder, Die()])
    """
    path = tmp_path / f"run{suffix}"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(path)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    with open_trace(path) as first, open_trace(tmp_path / f"run-2{suffix}") as second:
        assert first.ended == {"status": "completed"}
        assert second.ended is None
        assert second.header.continues == str(path)
        iterations = second.iterations["iteration"].tolist()
        assert iterations == list(range(8, 8 + len(iterations)))
        assert len(iterations) > 0
    resumed: Any = Recorder(tmp_path / "third.h5", continues=tmp_path / f"run-2{suffix}")
    assert resumed.path == tmp_path / "third.h5"
