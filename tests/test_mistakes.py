"""Small trainings with one mistake: it is the first suspect."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from deeplocalize.analyzer import Verdict, analyze
from deeplocalize.analyzer.causes import Cause

from .small_trainings import classes, diagnosis_of, draw, fit, stack, values


def dead_relu_output(trace: Path) -> None:
    x, y = values()
    buried = keras.initializers.Constant(-6.0)
    model = stack(layers.Dense(1, activation="relu", bias_initializer=buried))
    model.compile("adam", "mse")
    fit(trace, model, (x, np.abs(y)))


def softmax_over_one_unit(trace: Path) -> None:
    model = stack(layers.Dense(1), layers.Softmax())
    model.compile("adam", "binary_crossentropy")
    fit(trace, model, classes(n_classes=2))


def logits_taken_for_probabilities(trace: Path) -> None:
    model = stack(layers.Dense(3))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    fit(trace, model, classes())


def learning_rate_that_kills(trace: Path) -> None:
    hidden = [layers.Dense(32, activation="relu") for _ in range(3)]
    model = stack(*hidden, layers.Dense(3, activation="softmax"))
    model.compile(keras.optimizers.SGD(8.0), "sparse_categorical_crossentropy")
    fit(trace, model, classes())


def learning_rate_that_does_nothing(trace: Path) -> None:
    model = stack(layers.Dense(3, activation="softmax"))
    model.compile(keras.optimizers.Adam(1e-9), "sparse_categorical_crossentropy")
    fit(trace, model, classes())


def unscaled_inputs_of_sigmoids(trace: Path) -> None:
    x, y = values()
    model = keras.Sequential([layers.Dense(16, activation="sigmoid"), layers.Dense(1)])
    model.compile("sgd", "mse")
    fit(trace, model, (200 * x, y))


def recurrence_that_amplifies(trace: Path) -> None:
    random = draw()
    large = keras.initializers.RandomNormal(stddev=4.0, seed=1)
    rnn = layers.SimpleRNN(16, activation="linear", recurrent_initializer=large)
    model = keras.Sequential([rnn, layers.Dense(1)])
    model.compile("sgd", "mse")
    x = random.normal(size=(64, 30, 4)).astype("float32")
    fit(trace, model, (x, x.sum(axis=(1, 2))), epochs=1)


def settings_that_stop_the_optimizer(trace: Path) -> None:
    model = stack(layers.Dense(3, activation="softmax"))
    model.compile(keras.optimizers.Adam(epsilon=1e4), "sparse_categorical_crossentropy")
    fit(trace, model, classes())


class StepOfOnesOwn(keras.Model):
    """Compares targets (n,) with outputs (n, 1), and takes steps or not."""

    takes_steps = True

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        with tf.GradientTape() as tape:
            loss = ops.mean((ops.cast(y, "float32") - self(x, training=True)) ** 2)
        gradients = tape.gradient(loss, self.trainable_variables)
        if self.takes_steps:
            self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}


class StepThatIsNotTaken(StepOfOnesOwn):
    takes_steps = False


def with_step(step: type[StepOfOnesOwn]) -> Any:
    given = keras.Input((6,))
    model = step(given, layers.Dense(1)(layers.Dense(16, activation="relu")(given)))
    model.compile("adam", "mse")
    return model


def targets_that_broadcast(trace: Path) -> None:
    x, y = values()
    fit(trace, with_step(StepOfOnesOwn), (x, y[:, 0]))


def gradients_that_nobody_applies(trace: Path) -> None:
    fit(trace, with_step(StepThatIsNotTaken), values())


def probabilities_for_a_loss_of_logits(trace: Path) -> None:
    def loss(y: Any, p: Any) -> Any:
        return keras.losses.sparse_categorical_crossentropy(y, 1.0 * p, from_logits=True)

    model = stack(layers.Dense(3, activation="softmax"))
    model.compile("adam", loss)
    fit(trace, model, classes())


def limit_that_leaves_no_gradient(trace: Path) -> None:
    model = stack(layers.Dense(3, activation="softmax"))
    sgd = keras.optimizers.SGD(0.05, clipnorm=1e-6)
    model.compile(sgd, "sparse_categorical_crossentropy", metrics=["accuracy"])
    fit(trace, model, classes())


@dataclass(frozen=True)
class Expected:
    cause: Cause
    layer_class: str | None = None


FAULTS: dict[Callable[[Path], None], Expected] = {
    dead_relu_output: Expected(Cause.OUTPUT_ACTIVATION, "Dense"),
    softmax_over_one_unit: Expected(Cause.OUTPUT_ACTIVATION, "Softmax"),
    logits_taken_for_probabilities: Expected(Cause.ACTIVATION_LOSS_MISMATCH, "Dense"),
    learning_rate_that_kills: Expected(Cause.LEARNING_RATE),
    learning_rate_that_does_nothing: Expected(Cause.LEARNING_RATE),
    unscaled_inputs_of_sigmoids: Expected(Cause.INPUT_SCALE),
    recurrence_that_amplifies: Expected(Cause.WEIGHT_INITIALIZATION, "SimpleRNN"),
    settings_that_stop_the_optimizer: Expected(Cause.OPTIMIZER),
    targets_that_broadcast: Expected(Cause.LOSS_FUNCTION),
    gradients_that_nobody_applies: Expected(Cause.OPTIMIZER),
    probabilities_for_a_loss_of_logits: Expected(Cause.ACTIVATION_LOSS_MISMATCH, "Dense"),
    limit_that_leaves_no_gradient: Expected(Cause.OPTIMIZER),
}


@pytest.mark.parametrize("train", FAULTS)
def test_the_first_suspect_is_the_mistake(train: Callable[[Path], None], tmp_path: Path) -> None:
    diagnosis = diagnosis_of(train, tmp_path / "run.h5")
    assert diagnosis.verdict is Verdict.FAULTY
    first = diagnosis.suspects[0]
    found = Expected(first.cause, first.layer.class_name if first.layer else None)
    assert found == FAULTS[train]


def root_in_a_branch(trace: Path) -> None:
    given = keras.Input((6,))
    branch = ops.sqrt(layers.Dense(8)(given))
    joined = layers.Concatenate()([layers.Dense(8, activation="relu")(given), branch])
    model = keras.Model(given, layers.Dense(1)(joined))
    model.compile("adam", "mse")
    fit(trace, model, values(64), epochs=1)


def test_an_operation_that_is_no_layer_is_named_beside_the_layer_after_it(tmp_path: Path) -> None:
    fault = diagnosis_of(root_in_a_branch, tmp_path / "run.h5").first_fault
    assert fault is not None
    assert 'an operation before it that is no layer ("sqrt' in fault.explanation


def test_what_a_network_does_after_it_broke_tells_no_cause(tmp_path: Path) -> None:
    x, y = classes()
    x[300, 2] = np.nan
    model = stack(layers.Dense(3, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    fit(tmp_path / "run.h5", model, (x, y), epochs=6)
    diagnosis = analyze(tmp_path / "run.h5")
    assert [suspect.cause for suspect in diagnosis.suspects] == [Cause.INPUT_VALUES]


def test_one_absurd_value_is_found_wherever_it_breaks_the_run(tmp_path: Path) -> None:
    for optimizer in ("sgd", "adam"):
        x, y = values()
        x[300, 2] = 1e36
        model = stack(layers.Dense(1))
        model.compile(optimizer, "mse")
        fit(tmp_path / f"{optimizer}.h5", model, (x, y), epochs=2)
        first = analyze(tmp_path / f"{optimizer}.h5").suspects[0]
        assert first.cause is Cause.INPUT_VALUES
        assert "input reaches 1e+36 in iteration " in first.evidence[0]
