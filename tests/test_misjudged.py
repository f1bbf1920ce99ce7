"""Small trainings that are easily misjudged, recorded and analysed as a user would."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, losses, ops

from deeplocalize.analyzer import Diagnosis, Verdict, analyze
from deeplocalize.analyzer.causes import Cause
from deeplocalize.analyzer.conclusion import ending
from deeplocalize.analyzer.rules import Symptom
from deeplocalize.recorder import Recorder

BATCH = 32


def draw() -> np.random.Generator:
    """The same numbers for every training, in whatever order the tests run."""
    return np.random.default_rng(0)


def values(n: int = 512, noise: float = 0.1) -> tuple[Any, Any]:
    """A nonlinear regression."""
    random = draw()
    x = random.normal(size=(n, 6)).astype("float32")
    y = np.tanh(2 * x[:, :1]) + 0.5 * x[:, 1:2] * x[:, 2:3] + noise * random.normal(size=(n, 1))
    return x, y.astype("float32")


def classes(n: int = 512, n_classes: int = 3) -> tuple[Any, Any]:
    """Clusters in eight dimensions."""
    random = draw()
    y = random.integers(n_classes, size=n)
    centers = random.normal(size=(n_classes, 8)) * 1.5
    return (centers[y] + random.normal(size=(n, 8))).astype("float32"), y


def stack(*stacked: Any) -> Any:
    return keras.Sequential([layers.Dense(16, activation="relu"), *stacked])


def fit(trace: Path, model: Any, data: tuple[Any, Any], epochs: int = 8) -> None:
    model.fit(*data, epochs=epochs, batch_size=BATCH, verbose=0, callbacks=[Recorder(trace)])


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
}


def diagnosis_of(train: Callable[[Path], None], trace: Path) -> Diagnosis:
    keras.utils.set_random_seed(1)
    train(trace)
    return analyze(trace)


@pytest.mark.parametrize("train", FAULTS)
def test_the_first_suspect_is_the_mistake(train: Callable[[Path], None], tmp_path: Path) -> None:
    diagnosis = diagnosis_of(train, tmp_path / "run.h5")
    assert diagnosis.verdict is Verdict.FAULTY
    first = diagnosis.suspects[0]
    found = Expected(first.cause, first.layer.class_name if first.layer else None)
    assert found == FAULTS[train]


def nothing_to_learn(trace: Path) -> None:
    random = draw()
    x, y = classes(2048)
    model = stack(layers.Dense(3, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    fit(trace, model, (x, random.permutation(y)), epochs=4)


def test_labels_that_do_not_follow_from_the_inputs_get_no_verdict(tmp_path: Path) -> None:
    diagnosis = diagnosis_of(nothing_to_learn, tmp_path / "run.h5")
    assert diagnosis.verdict is Verdict.UNKNOWN
    assert "The targets may not follow from the inputs" in diagnosis.needs


def linear_and_noisy(trace: Path) -> None:
    random = draw()
    x = random.normal(size=(1024, 6)).astype("float32")
    y = (0.6 * x[:, :1] + random.normal(size=(1024, 1))).astype("float32")
    model = keras.Sequential([layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.05), "mse")
    fit(trace, model, (x, y))


def nonlinear_and_noisy(trace: Path) -> None:
    model = stack(layers.Dense(1))
    model.compile(keras.optimizers.Adam(0.04), "mse")
    fit(trace, model, values(1024, noise=1.5))


@pytest.mark.parametrize("train", [linear_and_noisy, nonlinear_and_noisy])
def test_noise_in_the_targets_is_no_fault(train: Callable[[Path], None], tmp_path: Path) -> None:
    assert diagnosis_of(train, tmp_path / "run.h5").verdict is not Verdict.FAULTY


class Subclassed(keras.Model):
    """Does in its call what no layer of its own does."""

    def __init__(self, last: keras.Layer, end: Callable[[Any], Any]) -> None:
        super().__init__()
        self.hidden, self.last = layers.Dense(16), last
        self.end = end

    def call(self, x: Any) -> Any:
        return self.end(self.last(ops.relu(self.hidden(x))))


def softmax_in_the_call(trace: Path) -> None:
    model = Subclassed(layers.Dense(3), ops.softmax)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    fit(trace, model, classes(), epochs=12)


def sigmoid_stretched_in_the_call(trace: Path) -> None:
    model = Subclassed(layers.Dense(1, activation="sigmoid"), lambda y: 8 * y - 4)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    fit(trace, model, values())


def softmax_that_is_no_layer(trace: Path) -> None:
    given = keras.Input((8,))
    logits = layers.Dense(3)(layers.Dense(16, activation="relu")(given))
    model = keras.Model(given, ops.softmax(logits))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    fit(trace, model, classes(), epochs=12)


def mixture_of_experts(trace: Path) -> None:
    given = keras.Input((8,))
    gate = layers.Dense(2, activation="softmax")(given)
    experts = [layers.Dense(8, activation="relu")(given) for _ in range(2)]
    mixed = experts[0] * gate[:, :1] + experts[1] * gate[:, 1:]
    model = keras.Model(given, layers.Dense(3, activation="softmax")(mixed))
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    x, y = classes()
    y[::5] = 0
    fit(trace, model, (x, y))


def attention(trace: Path) -> None:
    random = draw()
    tokens = random.integers(12, size=(512, 6))
    given = keras.Input((6,))
    embedded = layers.Embedding(12, 16)(given)
    attended = layers.MultiHeadAttention(2, 8)(embedded, embedded)
    joined = layers.LayerNormalization()(layers.Add()([embedded, attended]))
    pooled = layers.GlobalAveragePooling1D()(joined)
    model = keras.Model(given, layers.Dense(2, activation="softmax")(pooled))
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    fit(trace, model, (tokens, ((tokens < 6).sum(axis=1) > 3).astype(int)))


def policy_gradient(trace: Path) -> None:
    random = draw()
    x = random.normal(size=(512, 4)).astype("float32")
    action = random.integers(2, size=512)
    gain = np.where((x[:, 0] > 0) == action, 1.0, -1.0).astype("float32")
    model = stack(layers.Dense(2, activation="softmax"))
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    callbacks = [Recorder(trace)]
    model.fit(x, action, sample_weight=gain, epochs=8, verbose=0, callbacks=callbacks)


@pytest.mark.parametrize(
    "train",
    [softmax_in_the_call, sigmoid_stretched_in_the_call, softmax_that_is_no_layer,
     mixture_of_experts, attention, policy_gradient],
)  # fmt: skip
def test_a_program_that_is_not_seen_whole_is_not_blamed(
    train: Callable[[Path], None], tmp_path: Path
) -> None:
    assert diagnosis_of(train, tmp_path / "run.h5").verdict is Verdict.HEALTHY


def labels_beyond_the_outputs(trace: Path) -> None:
    model = stack(layers.Dense(1, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    fit(trace, model, classes())


def test_a_run_that_fails_in_its_first_step_gets_no_verdict(tmp_path: Path) -> None:
    trace = tmp_path / "run.h5"
    with pytest.raises(Exception, match="label"):
        labels_beyond_the_outputs(trace)
    assert analyze(trace).verdict is Verdict.UNKNOWN


def logits_squashed_without_harm(trace: Path) -> None:
    model = stack(layers.Dense(3, activation="softmax"))
    model.compile("adam", losses.SparseCategoricalCrossentropy(from_logits=True))
    fit(trace, model, classes(), epochs=24)


def test_a_mistake_without_harm_is_noted(tmp_path: Path) -> None:
    diagnosis = diagnosis_of(logits_squashed_without_harm, tmp_path / "run.h5")
    assert diagnosis.verdict is Verdict.HEALTHY
    assert Symptom.SQUASHED_TWICE in {note.symptom for note in diagnosis.notes}


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


def sum_before_the_output(trace: Path) -> None:
    inputs = keras.Input((8,))
    x = layers.Dense(16, activation="relu")(inputs)
    x = x + layers.Dense(16, activation="relu")(x)  # an operation that is no layer
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(x))
    model.compile(keras.optimizers.Adam(3e-4), "sparse_categorical_crossentropy")
    fit(trace, model, classes(), epochs=3)


def two_outputs(trace: Path) -> None:
    x, y = classes()
    inputs = keras.Input((8,))
    hidden = layers.Dense(16, activation="relu")(inputs)
    heads = [layers.Dense(3, activation="softmax")(hidden) for _ in range(2)]
    model = keras.Model(inputs, heads)
    model.compile(keras.optimizers.Adam(3e-4), "sparse_categorical_crossentropy")
    model.fit(x, [y, y], epochs=3, batch_size=BATCH, verbose=0, callbacks=[Recorder(trace)])


@pytest.mark.parametrize("train", [sum_before_the_output, two_outputs])
def test_an_output_is_not_taken_for_a_hidden_layer(
    train: Callable[[Path], None], tmp_path: Path
) -> None:
    diagnosis = diagnosis_of(train, tmp_path / "run.h5")
    assert Symptom.SOFTMAX_INSIDE not in {finding.symptom for finding in diagnosis.findings}
    assert diagnosis.verdict is not Verdict.FAULTY


def test_a_recording_cut_short_is_not_a_training_cut_short(tmp_path: Path) -> None:
    model = stack(layers.Dense(3, activation="softmax"))
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    path = tmp_path / "run.h5"
    recorder = Recorder(path, max_bytes=400_000)
    model.fit(*classes(4096), epochs=6, batch_size=BATCH, verbose=0, callbacks=[recorder])
    diagnosis = analyze(path)
    assert diagnosis.verdict is Verdict.UNKNOWN
    assert 20 <= diagnosis.run.n_iterations < 6 * 4096 // BATCH
    assert "a recording of the whole run" in diagnosis.needs
    assert "recorded are only its iterations to" in ending(diagnosis.run)


def test_what_a_network_does_after_it_broke_tells_no_cause(tmp_path: Path) -> None:
    x, y = classes()
    x[300, 2] = np.nan
    model = stack(layers.Dense(3, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    fit(tmp_path / "run.h5", model, (x, y), epochs=6)
    diagnosis = analyze(tmp_path / "run.h5")
    assert [suspect.cause for suspect in diagnosis.suspects] == [Cause.INPUT_VALUES]
