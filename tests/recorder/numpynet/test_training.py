"""Training as its user meets it: the original's interface, fit, callbacks, progress."""

import io
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from deeplocalize.recorder.numpynet import (
    SGD,
    Callback,
    Dense,
    Dropout,
    ReLu,
    Sequential,
    softmax,
)
from deeplocalize.recorder.numpynet.progress import Progress

from .builders import classifier, samples


class Diary(Callback):
    """Writes down every event."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("on_"):
            return super().__getattribute__(name)
        return lambda *arguments: self.events.append(
            " ".join((name, *(str(a) for a in arguments if isinstance(a, int))))
        )


def test_a_program_in_the_originals_style_learns() -> None:
    lr = 0.5
    model = Sequential(seed=0)
    model.add(Dense(num_inputs=4, num_outputs=16, lr_rate=lr, name="FC1"))
    model.add(ReLu())
    model.add(Dense(num_inputs=16, num_outputs=3, learning_rate=lr, name="FC2"))
    model.add(softmax())
    model.compile(loss="categorical_crossentropy", optimizer="sgd", metrics=["accuracy"])
    x, y = samples(300)
    history = model.fit(x, y, epochs=20, batch_size=32, verbose=0)
    assert history.history["accuracy"][-1] > 0.9
    assert history.history["loss"][-1] < history.history["loss"][0] / 2


def test_a_layers_own_learning_rate_overrides_the_optimizers() -> None:
    network = Sequential(seed=0)
    network.add(Dense(4, input_shape=(4,), lr_rate=0.0))
    network.add(Dense(3))
    network.compile("sgd", "mse")
    before = network.get_weights()
    network.train_on_batch(*samples(8))
    changed = [bool((a != b).any()) for a, b in zip(before, network.get_weights(), strict=True)]
    assert changed == [False, False, True, True]


def test_the_same_seed_gives_the_same_training() -> None:
    results = []
    for _ in range(2):
        network = Sequential([Dense(8, "relu"), Dropout(0.5), Dense(3)], seed=7)
        network.compile("adam", "mse")
        network.fit(*samples(40), epochs=2, batch_size=8, verbose=0)
        results.append(network.get_weights())
    for first, second in zip(*results, strict=True):
        np.testing.assert_array_equal(first, second)


def test_callbacks_are_called_in_the_order_of_keras() -> None:
    diary = Diary()
    x, y = samples(4)
    classifier().fit(
        x, y, batch_size=2, epochs=1, verbose=0, callbacks=[diary], validation_data=(x, y)
    )
    assert diary.events == [
        "on_train_begin",
        "on_epoch_begin 0",
        "on_train_batch_begin 0",
        "on_train_batch_end 0",
        "on_train_batch_begin 1",
        "on_train_batch_end 1",
        "on_test_begin",
        "on_test_batch_begin 0",
        "on_test_batch_end 0",
        "on_test_batch_begin 1",
        "on_test_batch_end 1",
        "on_test_end",
        "on_epoch_end 0",
        "on_train_end",
    ]


def test_a_callback_knows_the_network_and_the_plan() -> None:
    callback = Callback()
    network = classifier()
    network.fit(*samples(10), batch_size=4, epochs=2, verbose=0, callbacks=[callback])
    assert callback.model is network
    assert callback.params == {"epochs": 2, "steps": 3, "verbose": 0}


def test_an_object_with_a_single_event_is_a_callback() -> None:
    class Stop:
        def set_model(self, model: Sequential) -> None:
            self.model = model

        def on_train_batch_end(self, batch: int, logs: Mapping[str, float]) -> None:
            self.model.stop_training = batch == 1

    network = classifier()
    history = network.fit(*samples(40), batch_size=4, epochs=5, verbose=0, callbacks=[Stop()])
    assert network.optimizer.iterations == 2
    assert history.epoch == [0]


def test_epochs_are_counted_from_the_initial_one() -> None:
    history = classifier().fit(*samples(4), initial_epoch=3, epochs=5, verbose=0)
    assert history.epoch == [3, 4]


def test_the_validation_split_takes_the_last_samples_and_does_not_train_on_them() -> None:
    x, y = samples(10)
    x[8:] = np.nan
    history = classifier().fit(x, y, validation_split=0.2, verbose=0)
    assert np.isfinite(history.history["loss"][0])
    assert np.isnan(history.history["val_loss"][0])


def test_a_schedule_is_asked_for_the_learning_rate_of_every_step() -> None:
    network = Sequential([Dense(1, use_bias=False, kernel_initializer="zeros")], dtype="float64")
    network.compile(SGD(lambda iteration: 0.1 * (iteration + 1)), "mse")
    # The gradient by w of (w - 1)^2 is 2 (w - 1).
    weights = []
    for _ in range(2):
        network.train_on_batch(np.ones((1, 1)), np.ones((1, 1)))
        weights.append(network.get_weights()[0].item())
    assert weights == pytest.approx([0.2, 0.2 + 0.2 * 2 * 0.8])


def test_evaluate_returns_what_keras_returns() -> None:
    x, y = samples(20)
    network = classifier()
    loss, accuracy = np.asarray(network.evaluate(x, y))
    assert network.evaluate(x, y, return_dict=True) == {"loss": loss, "accuracy": accuracy}
    network.compile("sgd", "categorical_crossentropy")
    assert network.evaluate(x, y, batch_size=7) == pytest.approx(loss, rel=1e-6)


def test_predict_does_not_depend_on_the_batch_size() -> None:
    x, _ = samples(20)
    network = classifier()
    np.testing.assert_allclose(network.predict(x, batch_size=3), network.predict(x), rtol=1e-5)
    assert network.predict(x[:0]).shape == (0, 3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everything_is_computed_in_the_networks_dtype(dtype: str) -> None:
    network = Sequential([Dense(4, "relu"), Dense(3, "softmax")], dtype=dtype)
    network.compile("adam", "categorical_crossentropy")
    x, y = samples(8)
    assert network.train_on_batch(x, y, np.ones(8)).output.dtype == dtype
    assert {weight.dtype.name for weight in network.get_weights()} == {dtype}
    assert {g.dtype.name for layer in network.layers for g in layer.gradients.values()} == {dtype}


def test_each_epoch_is_one_line_and_silence_is_possible(capsys: pytest.CaptureFixture[str]) -> None:
    network = classifier()
    network.fit(*samples(8), epochs=2, verbose=0)
    assert capsys.readouterr().out == ""
    network.fit(*samples(8), epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["Epoch 1/2", "Epoch 2/2"]
    assert "loss" in lines[0]
    assert "accuracy" in lines[0]


def test_the_summary_counts_the_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    classifier().summary()
    text = capsys.readouterr().out
    assert "hidden" in text
    assert "(batch, 6)" in text
    assert f"{4 * 6 + 6 + 6 * 3 + 3} parameters" in text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_count_of_batches_gives_way_to_the_finished_line() -> None:
    stream = Terminal()
    progress = Progress(stream=stream)
    classifier().fit(*samples(8), batch_size=4, epochs=1, verbose=0, callbacks=progress)
    drawn, finished = stream.getvalue().split("\x1b[K")
    assert drawn.startswith("\rEpoch 1/1  1/2  loss")
    assert re.fullmatch(r"Epoch 1/1  \d+\.\d\d s  loss .*\n", finished)
