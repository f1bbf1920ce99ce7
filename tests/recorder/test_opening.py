"""The first batches of a training in full, for a later replay."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from deeplocalize.recorder import Recorder
from deeplocalize.recorder.keras_repeatable import obstacle
from deeplocalize.recorder.numpynet import Dense, Sequential
from deeplocalize.recorder.opening import DEFAULT_BATCHES, OpeningBatches
from deeplocalize.recorder.step_values import StepValues
from deeplocalize.traces import Kind, Trace, open_trace
from deeplocalize.traces.header import Opening

from .models import CASES
from .test_volume import train


def kept(trace: Trace, kind: str) -> list[int]:
    """Iterations with a full tensor of a kind."""
    tensors = trace.tensors
    return sorted(set(tensors.loc[tensors["kind"] == kind, "iteration"].tolist()))


@pytest.mark.parametrize("suffix", ["h5", "parquet"])
def test_the_first_epoch_is_kept_with_the_weights_it_began_with(
    suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"run.{suffix}"
    train(path, replayable=True)
    keras.utils.set_random_seed(7)
    fresh = CASES["mlp"].build()
    with open_trace(path) as trace:
        assert trace.header.opening == Opening(DEFAULT_BATCHES, 64 << 20)
        assert kept(trace, Kind.INPUT) == kept(trace, Kind.LABEL) == list(range(10))
        assert kept(trace, Kind.WEIGHT) == [0]
        x = np.concatenate([trace.tensor(i, kind="input") for i in range(10)])
        np.testing.assert_array_equal(x, CASES["mlp"].x)
        for layer in fresh.layers:
            for weight in layer.weights:
                recorded = trace.tensor(0, layer.name, "weight", weight.name)
                np.testing.assert_array_equal(recorded, weight.numpy())


def test_a_number_says_how_many_batches_to_keep(tmp_path: Path) -> None:
    train(tmp_path / "run.h5", replayable=3)
    with open_trace(tmp_path / "run.h5") as trace:
        assert kept(trace, Kind.INPUT) == [0, 1, 2]


def test_a_negative_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="replayable=-1"):
        Recorder(tmp_path / "run.h5", replayable=-1)


def test_nothing_is_kept_twice(tmp_path: Path) -> None:
    train(tmp_path / "run.h5", replayable=3, tensors=lambda iteration: iteration == 1)
    with open_trace(tmp_path / "run.h5") as trace:
        entries = [(e.iteration, e.series) for e in trace.reader.tensor_entries()]
        assert len(entries) == len(set(entries))
        assert kept(trace, Kind.INPUT) == [0, 1, 2]


def test_nothing_is_kept_unless_asked_for(tmp_path: Path) -> None:
    train(tmp_path / "run.h5")
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.header.opening is None
        assert not trace.reader.tensor_entries()


def test_only_whole_batches_within_the_size_are_kept() -> None:
    batch = np.zeros(100, np.uint8)
    opening = OpeningBatches(Opening(max_batches=9, max_bytes=450))
    kinds = [Kind.INPUT, Kind.WEIGHT, Kind.OUTPUT]
    step = StepValues([batch] * 3, [None] * 3)
    kept = [opening.tensors(i, 0, [7, 8, 9], kinds, step) for i in range(6)]
    assert [[t.series for t in one] for one in kept] == [[7, 8], [7], [7], [], [], []]
    assert (opening.n_batches, opening.is_over) == (3, True)


def test_a_first_batch_that_is_too_large_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deeplocalize.recorder.recorder.MAX_BYTES", 100)
    train(tmp_path / "run.h5", replayable=True)
    with open_trace(tmp_path / "run.h5") as trace:
        assert not trace.reader.tensor_entries()
        assert any("cannot be replayed" in event.message for event in trace.reader.events())


@pytest.mark.parametrize("name", ["mlp", "batch_normalization", "subclassed"])
@pytest.mark.parametrize("mode", [{}, {"run_eagerly": True}])
def test_keeping_the_opening_leaves_the_training_bit_identical(
    name: str, mode: dict[str, Any], tmp_path: Path
) -> None:
    def trained(callbacks: list[Any]) -> Any:
        case = CASES[name]
        keras.utils.set_random_seed(7)
        model = case.build()
        model.compile(optimizer=case.optimizer(), loss=case.loss(), **mode)
        model.fit(case.x, case.labels, epochs=2, verbose=0, callbacks=callbacks)
        return model

    plain, recorded = trained([]), trained([Recorder(tmp_path / "run.h5", replayable=True)])
    for one, other in zip(
        plain.variables + plain.optimizer.variables,
        recorded.variables + recorded.optimizer.variables,
        strict=True,
    ):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.path)


def compiled(*layers: Any, loss: Any = "mse", optimizer: Any = "adam") -> Any:
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile(optimizer, loss)
    return model


class Twice(keras.layers.Layer):
    def call(self, x: Any) -> Any:
        return 2 * x


class Own(keras.Sequential):
    pass


class Step(keras.optimizers.SGD):
    pass


def own_loss(y: Any, p: Any) -> Any:
    return keras.ops.mean(keras.ops.abs(y - p))


def own_model() -> Any:
    model = Own([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    return model


OBSTACLES: dict[str, tuple[Callable[[], Any], str]] = {
    "plain": (lambda: compiled(keras.layers.Dense(1, activation="relu")), ""),
    "keras's loss": (
        lambda: compiled(keras.layers.Dense(1), loss=keras.losses.Huber(), optimizer="sgd"),
        "",
    ),
    "lambda": (lambda: compiled(keras.layers.Lambda(lambda x: x)), "is a Lambda"),
    "layer": (lambda: compiled(Twice(), keras.layers.Dense(1)), "class of its own (Twice)"),
    "activation": (
        lambda: compiled(keras.layers.Dense(1, activation=lambda x: x)),
        "activation of layer",
    ),
    "loss": (lambda: compiled(keras.layers.Dense(1), loss=own_loss), "its loss"),
    "optimizer": (lambda: compiled(keras.layers.Dense(1), optimizer=Step()), "its optimizer"),
    "model": (own_model, "Own is a model class of its own"),
}


@pytest.mark.parametrize("name", OBSTACLES)
def test_what_stands_in_the_way_of_a_replay_is_said(name: str) -> None:
    build, expected = OBSTACLES[name]
    found = obstacle(build())
    assert expected in found
    assert bool(found) == bool(expected)


def test_a_network_of_the_numpy_framework_cannot_be_replayed(tmp_path: Path) -> None:
    network = Sequential([Dense(3)])
    network.compile("sgd", "mse")
    recorder = Recorder(tmp_path / "run.h5", replayable=True)
    x = np.ones((8, 4), np.float32)
    network.fit(x, x[:, :3], epochs=1, verbose=0, callbacks=[recorder])
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.header.opening is not None
        assert "NumPy framework" in trace.header.opening.obstacle
        assert not trace.reader.tensor_entries()
