"""Small trainings that are easily misjudged: nothing is blamed that is not at fault."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, losses, ops

from deeplocalize.analyzer import Verdict, analyze
from deeplocalize.analyzer.causes import Cause
from deeplocalize.analyzer.conclusion import ending
from deeplocalize.analyzer.rules import Symptom
from deeplocalize.recorder import Recorder

from .small_trainings import BATCH, classes, diagnosis_of, draw, fit, stack, values


def nothing_to_learn(trace: Path) -> None:
    random = draw()
    x, y = classes(2048)
    model = stack(layers.Dense(3, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    fit(trace, model, (x, random.permutation(y)), epochs=4)


def test_labels_that_do_not_follow_from_the_inputs_get_no_verdict(tmp_path: Path) -> None:
    diagnosis = diagnosis_of(nothing_to_learn, tmp_path / "run.h5")
    assert diagnosis.verdict is Verdict.UNKNOWN
    assert "the targets may not follow from the inputs" in diagnosis.needs


def test_a_trial_that_learned_nothing_is_not_called_healthy(tmp_path: Path) -> None:
    random = draw()
    x = random.normal(size=(512, 8)).astype("float32")
    model = stack(layers.Dense(3, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    fit(tmp_path / "run.h5", model, (x, random.integers(3, size=512)), epochs=5)
    diagnosis = analyze(tmp_path / "run.h5")
    assert diagnosis.verdict is Verdict.UNKNOWN
    assert diagnosis.needs.startswith("a longer run")


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


class Applied(keras.Layer):
    """A layer of the user's own, without weights."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)


def cut_off(trace: Path, *between: Any) -> None:
    keras.utils.set_random_seed(1)
    x, y = classes()
    ends = [layers.Dense(16, activation="relu"), layers.Dense(3, activation="softmax")]
    model = keras.Sequential([layers.Dense(16), *between, *ends])
    model.compile("adam", "sparse_categorical_crossentropy")
    # A model that learns all the same is none the worse for it.
    fit(trace, model, (x, draw().permutation(y)))


@pytest.mark.parametrize("function", [ops.round, ops.sign, ops.stop_gradient])
def test_a_layer_of_ones_own_that_stops_the_gradient_is_named(
    function: Callable[[Any], Any], tmp_path: Path
) -> None:
    cut_off(tmp_path / "run.h5", layers.Dropout(0.1), Applied(function), layers.Dropout(0.1))
    (suspect,) = analyze(tmp_path / "run.h5").suspects
    assert suspect.cause is Cause.EXTRA_LAYER
    assert suspect.layer is not None
    assert suspect.layer.class_name == "Applied"
    assert "(rms 0." in suspect.evidence[-1]


def test_two_layers_that_may_stop_the_gradient_share_the_suspicion(tmp_path: Path) -> None:
    own = [Applied(ops.stop_gradient), Applied(lambda x: 2 * x)]
    cut_off(tmp_path / "run.h5", *own)
    suspects = analyze(tmp_path / "run.h5").suspects
    assert [s.layer and s.layer.name for s in suspects] == [layer.name for layer in own]
    assert suspects[0].confidence < 0.5


def labels_beyond_the_outputs(trace: Path) -> None:
    model = stack(layers.Dense(1, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    fit(trace, model, classes())


def test_a_run_that_fails_in_its_first_step_gets_no_verdict(tmp_path: Path) -> None:
    trace = tmp_path / "run.h5"
    with pytest.raises(Exception, match="label"):
        labels_beyond_the_outputs(trace)
    assert analyze(trace).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(("offset", "cause"), [(0, Cause.OUTPUT_SHAPE), (1, Cause.LABEL_ENCODING)])
def test_a_label_that_keras_refuses_after_some_steps_is_the_cause(
    offset: int, cause: Cause, tmp_path: Path
) -> None:
    x, y = classes(1024)
    late = np.argsort(y == 2, kind="stable")
    model = stack(layers.Dense(2 + offset, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(Exception, match="outside the valid range"):
        model.fit(
            x[late], y[late] + offset, batch_size=BATCH, shuffle=False, verbose=0,
            callbacks=[Recorder(tmp_path / "run.h5")],
        )  # fmt: skip
    diagnosis = analyze(tmp_path / "run.h5")
    assert diagnosis.verdict is Verdict.FAULTY
    assert diagnosis.suspects[0].cause is cause


def test_units_that_negative_biases_keep_dead_are_a_matter_of_the_biases(tmp_path: Path) -> None:
    dead = layers.Dense(16, activation="relu", bias_initializer=keras.initializers.Constant(-30))
    model = stack(dead, layers.Dense(3, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    fit(tmp_path / "run.h5", model, classes(), epochs=4)
    first = analyze(tmp_path / "run.h5").suspects[0]
    assert first.cause is Cause.WEIGHT_INITIALIZATION
    assert "bias_initializer" in first.fix


def test_a_softmax_written_out_overflows_in_its_exponentials(tmp_path: Path) -> None:
    def softmax(x: Any) -> Any:
        return ops.exp(x) / ops.sum(ops.exp(x), axis=-1, keepdims=True)

    x, y = classes()
    model = stack(layers.Dense(3), Applied(softmax))
    model.compile("adam", "sparse_categorical_crossentropy")
    fit(tmp_path / "run.h5", model, (x * 1000, y), epochs=1)
    first = analyze(tmp_path / "run.h5").suspects[0]
    assert first.cause is Cause.NUMERICAL_INSTABILITY
    assert any("exp overflows float32 above 88.72" in one for one in first.evidence)


def test_a_loss_beyond_float16_is_a_matter_of_the_type(tmp_path: Path) -> None:
    keras.config.set_floatx("float16")
    keras.config.set_dtype_policy("float16")
    try:
        model = stack(layers.Dense(1))
        model.compile(keras.optimizers.SGD(1e-4), "mse")
        x, y = values()
        fit(tmp_path / "run.h5", model, (x.astype("float16"), 1000 * y.astype("float16")), epochs=2)
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
    first = analyze(tmp_path / "run.h5").suspects[0]
    assert first.cause is Cause.NUMERICAL_INSTABILITY
    assert "float16 ends at 65504" in first.fix


def logits_squashed_without_harm(trace: Path) -> None:
    model = stack(layers.Dense(3, activation="softmax"))
    model.compile("adam", losses.SparseCategoricalCrossentropy(from_logits=True))
    fit(trace, model, classes(), epochs=24)


def test_a_mistake_without_harm_is_noted(tmp_path: Path) -> None:
    diagnosis = diagnosis_of(logits_squashed_without_harm, tmp_path / "run.h5")
    assert diagnosis.verdict is Verdict.HEALTHY
    assert Symptom.SQUASHED_TWICE in {note.symptom for note in diagnosis.notes}


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


def branch_that_begins_with_zeros(trace: Path) -> None:
    inputs = keras.Input((8,))
    hidden = layers.Dense(16)(inputs)
    branch = layers.Dense(16, activation="relu")(hidden)
    joined = layers.Add()([hidden, layers.Dense(16, kernel_initializer="zeros")(branch)])
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(joined))
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    fit(trace, model, classes())


def distance_that_the_model_returns(trace: Path) -> None:
    x, _ = classes()
    given = keras.Input((8,))
    restored = layers.Dense(8)(layers.Dense(4)(given))
    distance = Applied(lambda two: ops.mean((two[0] - two[1]) ** 2, axis=-1, keepdims=True))
    model = keras.Model(given, distance([given, restored]))
    model.compile(keras.optimizers.Adam(0.01), "mae")
    fit(trace, model, (x, np.zeros((len(x), 1), "float32")))


@pytest.mark.parametrize("train", [branch_that_begins_with_zeros, distance_that_the_model_returns])
def test_what_is_done_on_purpose_is_no_fault(train: Callable[[Path], None], tmp_path: Path) -> None:
    assert diagnosis_of(train, tmp_path / "run.h5").verdict is Verdict.HEALTHY


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


def test_one_label_that_ended_the_run_is_to_be_looked_at_before_the_layer(tmp_path: Path) -> None:
    x, y = classes(256)
    y[-1] = 7
    model = stack(layers.Dense(3, activation="softmax"))
    model.compile("sgd", "sparse_categorical_crossentropy")
    path = tmp_path / "run.h5"
    with pytest.raises(Exception, match="label value of 7"), Recorder(path).recording(model):
        for first in range(0, 256, 32):
            model.train_on_batch(x[first : first + 32], y[first : first + 32])
    fix = analyze(path).suspects[0].fix
    assert "print(np.flatnonzero(y > 2))" in fix
    assert "Dense(8" in fix


def test_heavy_tails_that_are_learned_from_are_no_fault(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    random = draw()
    x = random.standard_t(2, size=(1024, 6)).astype("float32")
    model = stack(layers.Dense(1))
    model.compile(keras.optimizers.Adam(0.01), "mse")
    fit(tmp_path / "run.h5", model, (x, 0.2 * (x[:, :1] + x[:, 1:2])), epochs=12)
    assert analyze(tmp_path / "run.h5").verdict is Verdict.HEALTHY
