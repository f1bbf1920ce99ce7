"""Loops of the user's own that train by ``train_on_batch``."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from deeplocalize.recorder import Recorder, when_gone
from deeplocalize.recorder.numpynet import Sequential
from deeplocalize.traces import Kind, open_trace

from .fits import assert_untouched
from .models import CASES, FEATURES, LABELS, VECTORS

BATCH = 25
N_BATCHES = 4

MODES: dict[str, dict[str, Any]] = {
    "graph": {},
    "eager": {"run_eagerly": True},
    "xla": {"jit_compile": True},
}


def build(**mode: Any) -> Any:
    keras.utils.set_random_seed(7)
    model = CASES["mlp"].build()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], **mode)
    return model


def batches() -> Iterator[tuple[Any, Any]]:
    for first in range(0, N_BATCHES * BATCH, BATCH):
        yield VECTORS[first : first + BATCH], LABELS[first : first + BATCH]


def train(model: Any, recorder: Any = None, n_epochs: int = 2) -> list[Any]:
    logs = []
    for epoch in range(n_epochs):
        if recorder is not None:
            recorder.on_epoch_begin(epoch)
        logs += [model.train_on_batch(x, y) for x, y in batches()]
        if recorder is not None:
            recorder.on_epoch_end(epoch, {"loss": float(logs[-1][0])})
    return logs


def assert_same(model: Any, other: Any) -> None:
    for one, two in zip(
        [*model.variables, *model.optimizer.variables],
        [*other.variables, *other.optimizer.variables],
        strict=True,
    ):
        np.testing.assert_array_equal(one.numpy(), two.numpy())


@pytest.mark.parametrize("mode", MODES)
def test_recording_a_loop_leaves_it_bit_identical(mode: str, tmp_path: Path) -> None:
    plain, model = build(**MODES[mode]), build(**MODES[mode])
    expected = train(plain)
    with Recorder(tmp_path / "run.h5").recording(model) as recorder:
        found = train(model, recorder)
    assert repr(found) == repr(expected)
    assert_same(model, plain)
    assert_untouched(model)
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.ended == {"status": "completed"}
        assert list(trace.iterations["epoch"]) == [0] * N_BATCHES + [1] * N_BATCHES
        assert list(trace.iterations["batch"]) == [*range(N_BATCHES)] * 2
        # Keras forgets its metrics before each of these steps: it returns the batch's own loss.
        losses = [float(loss) for loss, _ in expected]
        np.testing.assert_allclose(trace.iterations["loss"], losses, rtol=1e-5)
        accuracies = trace.statistics(kind="metric", tensor="accuracy")["mean"]
        np.testing.assert_allclose(accuracies, [float(a) for _, a in expected], rtol=1e-6)
        assert [event.name for event in trace.reader.events()].count("epoch") == 2


@pytest.mark.parametrize("mode", ["graph", "eager"])
def test_the_tensors_of_a_loop_are_those_of_the_same_fit(mode: str, tmp_path: Path) -> None:
    def everything(iteration: int) -> bool:
        return True

    model = build(**MODES[mode])
    with Recorder(tmp_path / "loop.h5", tensors=everything).recording(model) as recorder:
        train(recorder.model, recorder, n_epochs=1)
    build(**MODES[mode]).fit(
        VECTORS, LABELS, BATCH, shuffle=False, verbose=0,
        callbacks=[Recorder(tmp_path / "fit.h5", tensors=everything)],
    )  # fmt: skip
    with open_trace(tmp_path / "loop.h5") as loop, open_trace(tmp_path / "fit.h5") as fit:
        kept = [i for i, s in enumerate(loop.header.series) if s.kind is not Kind.METRIC]
        assert {Kind.INPUT, Kind.LABEL} < {loop.header.series[i].kind for i in kept}
        expected = {(s.kind, s.layer, s.tensor): i for i, s in enumerate(fit.header.series)}
        tensors = {(e.iteration, e.series): e for e in fit.reader.tensor_entries()}
        compared = 0
        for entry in loop.reader.tensor_entries():
            if entry.series not in kept:
                continue
            series = loop.header.series[entry.series]
            other = expected[series.kind, series.layer, series.tensor]
            np.testing.assert_array_equal(
                loop.reader.read_tensor(entry),
                fit.reader.read_tensor(tensors[entry.iteration, other]),
                err_msg=str(series),
            )
            compared += 1
        assert compared == N_BATCHES * len(kept)


def test_a_batch_is_kept_as_it_was_when_its_array_is_filled_anew(tmp_path: Path) -> None:
    model, x = build(run_eagerly=True), np.empty_like(VECTORS[:BATCH])
    with Recorder(tmp_path / "run.h5", tensors=lambda iteration: True).recording(model):
        for batch, labels in batches():
            x[:] = batch
            model.train_on_batch(x, labels)
    with open_trace(tmp_path / "run.h5") as trace:
        for iteration, (batch, _) in enumerate(batches()):
            np.testing.assert_array_equal(trace.tensor(iteration, kind="input"), batch)


class LookingUp(keras.Sequential):
    """A model whose labels come as words."""

    def train_step(self, data: Any) -> Any:
        x, words = data
        return super().train_step((x, np.array([{"a": 0}.get(word, 1) for word in words])))


def test_what_is_no_array_of_numbers_is_said_not_to_be_recorded(tmp_path: Path) -> None:
    model = LookingUp([keras.Input(VECTORS.shape[1:]), keras.layers.Dense(3)])
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    words = np.array(["a", None] * BATCH, dtype=object)[:BATCH]
    with Recorder(tmp_path / "run.h5").recording(model):
        model.make_train_function()
        model.train_function(iter([(VECTORS[:BATCH], words)]))
    with open_trace(tmp_path / "run.h5") as trace:
        reasons = {one.kind: one.reason for one in trace.header.unrecorded}
        assert "input" in {series.kind for series in trace.header.series}
    assert reasons == {Kind.LABEL: "it is an array of object"}


def test_a_model_that_is_built_by_its_first_batch_is_recorded(tmp_path: Path) -> None:
    model = keras.Sequential([keras.layers.Dense(3, name="only")])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with Recorder(tmp_path / "run.h5").recording(model):
        train(model)
    with open_trace(tmp_path / "run.h5") as trace:
        assert len(trace.statistics(layer="only", kind="weight")) == 2 * 2 * N_BATCHES


def test_a_model_compiled_anew_within_the_loop_is_recorded_on(tmp_path: Path) -> None:
    model = build()
    with Recorder(tmp_path / "run.h5").recording(model):
        train(model, n_epochs=1)
        model.compile("sgd", "sparse_categorical_crossentropy")
        train(model, n_epochs=1)
    assert_untouched(model)
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.n_iterations == 2 * N_BATCHES


def test_an_error_within_the_loop_closes_the_trace(tmp_path: Path) -> None:
    model = build()
    with pytest.raises(ValueError, match="broken"), Recorder(tmp_path / "run.h5").recording(model):
        train(model, n_epochs=1)
        raise ValueError("broken")
    assert_untouched(model)
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.ended == {"status": "exception"}
        assert trace.n_iterations == N_BATCHES


def test_a_loop_without_a_step_leaves_no_trace(tmp_path: Path) -> None:
    with Recorder(tmp_path / "run.h5").recording(build()):
        pass
    assert list(tmp_path.iterdir()) == []


class Gan:
    """Two compiled models that take turns, the discriminator inside of the second."""

    def __init__(self) -> None:
        keras.utils.set_random_seed(3)
        layers = keras.layers
        self.generator = keras.Sequential(
            [keras.Input((4,)), layers.Dense(8, "tanh"), layers.Dense(FEATURES)], name="generator"
        )
        self.discriminator = keras.Sequential(
            [keras.Input((FEATURES,)), layers.Dense(8, "relu"), layers.Dense(1, "sigmoid")],
            name="discriminator",
        )
        self.discriminator.compile(keras.optimizers.Adam(1e-2), "binary_crossentropy")
        self.discriminator.trainable = False
        self.both = keras.Sequential([self.generator, self.discriminator], name="both")
        self.both.compile(keras.optimizers.Adam(1e-2), "binary_crossentropy")

    def train(self, n_steps: int = 4) -> list[float]:
        rng = np.random.default_rng(5)
        losses = []
        for _ in range(n_steps):
            noise = rng.standard_normal((8, 4)).astype("float32")
            samples = np.concatenate([VECTORS[:8], self.generator.predict(noise, verbose=0)])
            labels = np.repeat([1.0, 0.0], 8)[:, None]
            self.discriminator.trainable = True
            losses.append(float(self.discriminator.train_on_batch(samples, labels)))
            self.discriminator.trainable = False
            losses.append(float(self.both.train_on_batch(noise, np.ones((8, 1)))))
        return losses


def test_two_models_that_take_turns_are_recorded_by_a_recorder_each(tmp_path: Path) -> None:
    plain, gan = Gan(), Gan()
    expected = plain.train()
    with (
        Recorder(tmp_path / "d.h5").recording(gan.discriminator),
        Recorder(tmp_path / "g.h5").recording(gan.both),
    ):
        found = gan.train()
    assert found == expected
    assert_same(gan.both, plain.both)
    assert_same(gan.discriminator, plain.discriminator)
    with open_trace(tmp_path / "d.h5") as one, open_trace(tmp_path / "g.h5") as two:
        np.testing.assert_allclose(one.iterations["loss"], expected[0::2], rtol=1e-6)
        np.testing.assert_allclose(two.iterations["loss"], expected[1::2], rtol=1e-6)
        trained = {
            trace: {
                trace.header.layers[s.layer].path.split("/")[0]
                for s in trace.header.series
                if s.kind is Kind.WEIGHT_UPDATE and s.layer is not None
            }
            for trace in (one, two)
        }
        assert trained[two] == {"generator"}
        assert len(trained[one]) == 2


def build_network() -> Any:
    from deeplocalize.recorder.numpynet.layers import Dense

    network = Sequential([Dense(3, activation="softmax", input_shape=(FEATURES,))], seed=1)
    network.compile("sgd", "sparse_categorical_crossentropy")
    return network


def test_a_numpy_network_can_be_recorded_in_a_loop(tmp_path: Path) -> None:
    plain, network = build_network(), build_network()
    for x, y in batches():
        plain.train_on_batch(x, y)
    with Recorder(tmp_path / "run.h5").recording(network):
        for x, y in batches():
            network.train_on_batch(x, y)
    for one, two in zip(network.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.n_iterations == N_BATCHES


def test_a_fit_that_follows_a_loop_and_is_given_up_has_not_completed(tmp_path: Path) -> None:
    network, recorder = build_network(), Recorder(tmp_path / "run.h5")
    with recorder.recording(network):
        network.train_on_batch(*next(batches()))
    recorder.set_model(network)
    recorder.on_train_begin()
    recorder.on_epoch_begin(0)
    network.train_on_batch(*next(batches()))
    del recorder
    gc.collect()
    when_gone.wait()
    with open_trace(tmp_path / "run-2.h5") as trace:
        assert trace.ended == {"status": "exception"}
