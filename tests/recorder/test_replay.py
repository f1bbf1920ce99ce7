"""Exact recording: what a step does not hand over, by replays that check themselves."""

import importlib.util
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from deeplocalize.recorder import Recorder
from deeplocalize.recorder.numpynet import Dense, Sequential
from deeplocalize.recorder.replay_check import n_differing
from deeplocalize.recorder.schedule import every, sparse
from deeplocalize.traces import Trace, open_trace

N_BATCHES = 12
NAN_BATCH = 9


def train(path: Path, x: Any = None, jit_compile: bool = False, **options: Any) -> None:
    """Batches of eight, in order, through a layer whose pre-activation is fused."""
    random = np.random.default_rng(0)
    batches = random.standard_normal((8 * N_BATCHES, 4)).astype("float32") if x is None else x
    labels = random.integers(0, 3, 8 * N_BATCHES)
    keras.utils.set_random_seed(7)
    hidden = layers.Dense(8, activation="tanh", name="hidden")
    head = layers.Dense(3, activation="softmax", name="head")
    model = keras.Sequential([keras.Input((4,)), hidden, head])
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=jit_compile)
    callbacks = [Recorder(path, **options)]
    model.fit(batches, labels, batch_size=8, shuffle=False, verbose=0, callbacks=callbacks)


def with_nan() -> Any:
    x = np.random.default_rng(0).standard_normal((8 * N_BATCHES, 4)).astype("float32")
    x[8 * NAN_BATCH + 3, 1] = np.nan
    return x


def iterations_of(trace: Trace, **selection: Any) -> list[int]:
    return sorted(set(trace.statistics(**selection)["iteration"].tolist()))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_what_is_left_out_by_default_is_recorded_at_the_iterations_of_the_schedule(
    jit_compile: bool, tmp_path: Path
) -> None:
    train(tmp_path / "default.h5", jit_compile=jit_compile)
    train(tmp_path / "exact.h5", jit_compile=jit_compile, exact=every(5))
    with open_trace(tmp_path / "default.h5") as default, open_trace(tmp_path / "exact.h5") as exact:
        assert "preactivation" in {str(entry.kind) for entry in default.header.unrecorded}
        assert not exact.header.unrecorded
        assert iterations_of(exact, layer="hidden", kind="preactivation") == [0, 5, 10]
        assert iterations_of(exact, layer="hidden", kind="weight") == list(range(N_BATCHES))
        # Replays pass their own check: the operations are those of the step.
        assert (exact.statistics(kind="replay_error")["max"] == 0).all()
        positions = exact.series.set_index(["layer", "kind"])["position"]
    assert positions["hidden", "preactivation"].item() < positions["hidden", "output"].item()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_iteration_in_which_something_first_breaks_is_replayed(
    jit_compile: bool, tmp_path: Path
) -> None:
    train(tmp_path / "run.h5", with_nan(), jit_compile, exact=lambda iteration: False)
    with open_trace(tmp_path / "run.h5") as trace:
        assert iterations_of(trace, kind="replay_error") == [NAN_BATCH]
        broken = trace.statistics(layer="hidden", kind="preactivation")
        assert broken["n_nan"].tolist() == [8]
        # The ring wrote the failing batch in full, the replayed tensors too.
        tensor = trace.tensor(NAN_BATCH, layer="hidden", kind="preactivation")
        assert np.isnan(tensor).any(axis=1).tolist() == [k == 3 for k in range(8)]


def test_the_default_schedule_is_sparse_and_stands_in_the_header(tmp_path: Path) -> None:
    due = [iteration for iteration in range(300) if sparse(iteration)]
    assert due == [0, 1, 2, 4, 8, 16, 32, 64, 100, 128, 200, 256]
    train(tmp_path / "run.h5", exact=True)
    with open_trace(tmp_path / "run.h5") as trace:
        assert iterations_of(trace, kind="replay_error") == [0, 1, 2, 4, 8]
        assert trace.header.schedule["exact"].startswith("iterations 0, 1, 2, 4, 8, ... and every")


def test_without_the_option_nothing_is_replayed(tmp_path: Path) -> None:
    train(tmp_path / "run.h5")
    with open_trace(tmp_path / "run.h5") as trace:
        assert not any(series.replayed for series in trace.header.series)
        assert trace.header.schedule["exact"] is None


def test_a_training_that_cannot_be_replayed_says_so(tmp_path: Path) -> None:
    network = Sequential([Dense(3, activation="softmax")])
    network.compile("sgd", "categorical_crossentropy")
    x, y = np.ones((8, 4)), np.eye(3)[np.arange(8) % 3]
    with pytest.warns(RuntimeWarning, match="exact=True adds nothing to this recording"):
        network.fit(x, y, callbacks=[Recorder(tmp_path / "run.h5", exact=True)], verbose=0)
    with open_trace(tmp_path / "run.h5") as trace:
        assert "hands over every tensor" in trace.header.schedule["exact"]
        assert "note" in set(trace.events["name"])
        assert trace.ended == {"status": "completed"}


@pytest.mark.parametrize(
    "broken", ["Repetition", "n_differing", "StepReplay"], ids=["trace", "check", "copy"]
)
def test_a_replay_that_fails_does_not_stop_the_training(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> Any:
        raise ValueError("broken replay")

    module = "tensorflow" if broken == "StepReplay" else "tensorflow_handover"
    monkeypatch.setattr(f"deeplocalize.recorder.backends.{module}.{broken}", fail)
    with pytest.warns(RuntimeWarning, match="broken replay"):
        train(tmp_path / "run.h5", jit_compile=broken == "StepReplay", exact=True)
    with open_trace(tmp_path / "run.h5") as trace:
        # Without a copy of the step the rest of it is recorded as by default.
        status = "completed" if broken == "StepReplay" else "failed"
        assert trace.ended == {"status": status}


def test_a_check_counts_elements_that_differ_in_any_bit() -> None:
    nan, other_nan = np.array([0x7FC00000, 0xFFC00001], np.uint32).view(np.float32)
    true = np.array([1.0, 0.0, nan, 4.0], np.float32)
    found = np.array([1.0, -0.0, other_nan, np.nextafter(np.float32(4), 5)], np.float32)
    counts = n_differing([true, found, true[:2]], [true, true, true])
    assert counts.tolist() == [0, 2, 4]


def test_a_check_compares_integers_and_flags_too() -> None:
    counts = n_differing(
        [np.array([1, 2]), np.array([True, False])], [np.array([1, 3]), np.array([True, False])]
    )
    assert counts.tolist() == [1, 0]


@pytest.mark.skipif(importlib.util.find_spec("ml_dtypes") is None, reason="comes with TensorFlow")
def test_a_check_compares_bfloat16() -> None:
    import ml_dtypes

    a, b = (np.array(values, ml_dtypes.bfloat16) for values in ([1, 2, np.nan], [1, 3, np.nan]))
    assert n_differing([a], [b]).tolist() == [1]
