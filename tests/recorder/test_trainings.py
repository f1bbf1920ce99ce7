"""Kinds of training: each left bit-identical, its values compared with separate computations."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from deeplocalize.analyzer import analyze
from deeplocalize.analyzer.diagnosis import Verdict
from deeplocalize.recorder import Recorder
from deeplocalize.traces import Kind, Trace, open_trace

from .models import FEATURES, LABELS, VECTORS, from_logits

BATCH = 20
N_STEPS = 5  # per epoch


@pytest.fixture(autouse=True)
def default_policy() -> Iterator[None]:
    yield
    keras.config.set_dtype_policy("float32")


def classifier(dtype: str = "float32", **compiled: Any) -> Any:
    keras.config.set_dtype_policy(dtype)
    keras.utils.set_random_seed(7)
    hidden = keras.layers.Dense(8, activation="relu", name="hidden")
    out = keras.layers.Dense(3, name="out", dtype="float32")
    model = keras.Sequential([keras.Input((FEATURES,)), hidden, out])
    compiled = {"optimizer": keras.optimizers.SGD(0.1), "loss": from_logits(), **compiled}
    model.compile(**compiled)
    return model


Fit = Callable[[Any, list[Any]], Any]
"""Trains a model with callbacks, and gives the history."""


def fit(model: Any, callbacks: list[Any], **arguments: Any) -> Any:
    arguments = {"x": VECTORS, "y": LABELS, "batch_size": BATCH, **arguments}
    return model.fit(**arguments, shuffle=False, verbose=0, callbacks=callbacks).history


def recorded(build: Callable[[], Any], path: Path, train: Fit = fit) -> Any:
    """Train with and without a recorder, compare all that is left; the recorded model."""
    plain, model = build(), build()
    expected = train(plain, [])
    found = train(model, [Recorder(path, tensors=lambda iteration: True)])
    assert repr(found) == repr(expected)
    for one, two in zip(variables(plain), variables(model), strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy(), err_msg=one.path)
    with open_trace(path) as trace:
        assert trace.ended == {"status": "completed"}
    return model


def variables(model: Any) -> list[Any]:
    optimizers = [v for v in vars(model).values() if isinstance(v, keras.optimizers.Optimizer)]
    unique = {id(o): o for o in [*optimizers, model.optimizer]}
    return [*model.variables, *(v for o in unique.values() for v in o.variables)]


def softmax_losses(logits: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    """Cross-entropy of each sample."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    picked: NDArray[Any] = -log_p[np.arange(len(labels)), labels]
    return picked


def batch_of(step: int) -> slice:
    return slice(step * BATCH, (step + 1) * BATCH)


def _batches() -> Iterator[tuple[Any, Any]]:
    while True:
        for step in range(N_STEPS):
            yield VECTORS[batch_of(step)], LABELS[batch_of(step)]


class _Sequence(keras.utils.PyDataset):
    def __len__(self) -> int:
        return N_STEPS

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return VECTORS[batch_of(index)], LABELS[batch_of(index)]


DATA: dict[str, Callable[[], Any]] = {
    "tf.data": lambda: tf.data.Dataset.from_tensor_slices((VECTORS, LABELS)).batch(BATCH),
    "generator": _batches,
    "PyDataset": _Sequence,
}


@pytest.mark.parametrize("source", DATA)
def test_batches_of_every_source_are_recorded_as_they_were_trained(
    source: str, tmp_path: Path
) -> None:
    def train(model: Any, callbacks: list[Any]) -> Any:
        steps = N_STEPS if source == "generator" else None
        return model.fit(
            DATA[source](), epochs=2, steps_per_epoch=steps, shuffle=False, verbose=0,
            callbacks=callbacks,
        ).history  # fmt: skip

    recorded(classifier, tmp_path / "run.h5", train)
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.n_iterations == 2 * N_STEPS
        for step in range(2 * N_STEPS):
            at = batch_of(step % N_STEPS)
            np.testing.assert_array_equal(trace.tensor(step, kind="input"), VECTORS[at])
            np.testing.assert_array_equal(trace.tensor(step, kind="label"), LABELS[at])


CLASS_WEIGHT = {0: 0.5, 1: 1.0, 2: 4.0}
SAMPLE_WEIGHT = np.linspace(0, 2, len(LABELS)).astype("float32")
OF_CLASSES = np.array([CLASS_WEIGHT[int(label)] for label in LABELS], np.float32)


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ({"class_weight": CLASS_WEIGHT}, OF_CLASSES),
        ({"sample_weight": SAMPLE_WEIGHT}, SAMPLE_WEIGHT),
    ],
)
def test_the_loss_is_weighted_as_the_samples_and_classes_are(
    argument: dict[str, Any], expected: NDArray[Any], tmp_path: Path
) -> None:
    recorded(classifier, tmp_path / "run.h5", lambda m, c: fit(m, c, **argument))
    with open_trace(tmp_path / "run.h5") as trace:
        for step in range(N_STEPS):
            at = batch_of(step)
            weights = trace.tensor(step, kind="sample_weight")
            np.testing.assert_array_equal(weights.reshape(-1), expected[at])
            losses = softmax_losses(trace.tensor(step, layer="out"), LABELS[at])
            loss = trace.iterations["loss"][step]
            np.testing.assert_allclose(loss, (losses * expected[at]).mean(), rtol=1e-5)


def test_metrics_equal_a_separate_computation(tmp_path: Path) -> None:
    def build() -> Any:
        entropy = keras.metrics.SparseCategoricalCrossentropy(name="entropy", from_logits=True)
        return classifier(metrics=["accuracy", entropy])

    recorded(build, tmp_path / "run.h5")
    with open_trace(tmp_path / "run.h5") as trace:
        hits: list[bool] = []
        losses: list[float] = []
        for step in range(N_STEPS):
            logits, labels = trace.tensor(step, layer="out"), LABELS[batch_of(step)]
            hits += list(logits.argmax(axis=1) == labels)
            losses += list(softmax_losses(logits, labels))
            # Keras's metrics run over the epoch.
            row = trace.iterations.iloc[step]
            np.testing.assert_allclose(row["accuracy"], np.mean(hits), rtol=1e-6)
            np.testing.assert_allclose(row["entropy"], np.mean(losses), rtol=1e-5)


class Gan(keras.Model):
    """A step with two tapes and two optimizers."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(FEATURES, "tanh", name="make")]
        )
        self.discriminator = keras.Sequential(
            [keras.Input((FEATURES,)), keras.layers.Dense(1, name="judge")]
        )
        self.g_optimizer = keras.optimizers.SGD(0.1)
        self.d_optimizer = keras.optimizers.SGD(0.2)

    def call(self, noise: Any) -> Any:
        return self.discriminator(self.generator(noise))

    def train_step(self, data: Any) -> Any:
        noise, real = data
        entropy = keras.losses.BinaryCrossentropy(from_logits=True)
        with tf.GradientTape() as tape:
            judged = self.discriminator(tf.concat([real, self.generator(noise)], axis=0))
            labels = tf.repeat([[1.0], [0.0]], tf.shape(real)[0], axis=0)
            d_loss = entropy(labels, judged)
        weights = self.discriminator.trainable_variables
        self.d_optimizer.apply_gradients(zip(tape.gradient(d_loss, weights), weights, strict=True))
        with tf.GradientTape() as tape:
            fooled = self.discriminator(self.generator(noise))
            g_loss = entropy(tf.ones_like(fooled), fooled)
        weights = self.generator.trainable_variables
        self.g_optimizer.apply_gradients(zip(tape.gradient(g_loss, weights), weights, strict=True))
        return {"d_loss": d_loss, "g_loss": g_loss}


def tensors(trace: Trace, kind: Kind, step: int) -> dict[tuple[str, str, int], NDArray[Any]]:
    found = {}
    for entry in trace.reader.tensor_entries():
        series = trace.header.series[entry.series]
        layer = trace.header.layer_of(series)
        if series.kind is kind and entry.iteration == step and layer is not None:
            found[layer.name, series.tensor, series.call] = trace.reader.read_tensor(entry)
    return found


def sigmoid(x: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(1 / (1 + np.exp(-x.astype(np.float64))))


def test_a_step_with_two_optimizers_is_recorded_with_both(tmp_path: Path) -> None:
    noise = np.random.default_rng(2).standard_normal((100, 4)).astype("float32")

    def build() -> Any:
        keras.utils.set_random_seed(7)
        model = Gan()
        model.compile(optimizer=model.d_optimizer)
        model(noise[:1])
        return model

    recorded(build, tmp_path / "run.h5", lambda m, c: fit(m, c, x=noise, y=VECTORS))
    with open_trace(tmp_path / "run.h5") as trace:
        outputs = tensors(trace, Kind.OUTPUT, 0)
        gradients = tensors(trace, Kind.WEIGHT_GRADIENT, 0)
        updates = tensors(trace, Kind.WEIGHT_UPDATE, 0)
        weights = tensors(trace, Kind.WEIGHT, 0)
        metrics = trace.iterations.iloc[0]

    make, judge = weights["make", "kernel", 0], weights["judge", "kernel", 0]
    fake = np.tanh(noise[:BATCH] @ make + weights["make", "bias", 0])
    seen = np.concatenate([VECTORS[:BATCH], fake])
    logits = seen @ judge + weights["judge", "bias", 0]
    np.testing.assert_allclose(outputs["make", "", 0], fake, rtol=1e-4, atol=1e-6)
    labels = np.repeat([1.0, 0.0], BATCH)[:, None]
    by_logits = (sigmoid(logits) - labels) / len(labels)
    np.testing.assert_allclose(gradients["judge", "kernel", 0], seen.T @ by_logits, rtol=1e-4,
                               atol=1e-6)  # fmt: skip
    p = sigmoid(logits)
    d_loss = -np.mean(labels * np.log(p) + (1 - labels) * np.log(1 - p))
    np.testing.assert_allclose(metrics["d_loss"], d_loss, rtol=1e-5)

    # The generator's turn: through the discriminator as it is by now.
    judge = judge + updates["judge", "kernel", 0]
    bias = weights["judge", "bias", 0] + updates["judge", "bias", 0]
    by_fake = (sigmoid(fake @ judge + bias) - 1) / BATCH @ judge.T
    by_kernel = noise[:BATCH].T @ (by_fake * (1 - fake**2))
    np.testing.assert_allclose(gradients["make", "kernel", 0], by_kernel, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(
        updates["make", "kernel", 0], -0.1 * gradients["make", "kernel", 0], rtol=1e-2, atol=1e-7
    )
    np.testing.assert_allclose(
        updates["judge", "kernel", 0], -0.2 * gradients["judge", "kernel", 0], rtol=1e-2, atol=1e-7
    )


@pytest.mark.parametrize("steps_per_execution", [1, 2])
def test_an_overflow_that_loss_scaling_skips_is_normal(
    steps_per_execution: int, tmp_path: Path
) -> None:
    def build() -> Any:
        # Too large a scale for float16: halved until gradients fit.
        optimizer = keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(0.1), initial_scale=2.0**20
        )
        return classifier(
            "mixed_float16", optimizer=optimizer, steps_per_execution=steps_per_execution
        )

    model = recorded(build, tmp_path / "run.h5", lambda m, c: fit(m, c, epochs=4))
    with open_trace(tmp_path / "run.h5") as trace:
        scales = trace.iterations["loss_scale"].to_numpy()
        assert len(scales) == 4 * N_STEPS  # every inner step
        assert scales[0] == 2.0**20
        gradients = trace.statistics(layer="hidden", kind="weight_gradient", tensor="kernel")
        updates = trace.statistics(layer="hidden", kind="weight_update", tensor="kernel")
        overflows = (gradients["n_nan"] + gradients["n_posinf"] + gradients["n_neginf"]) > 0
        assert overflows.iloc[0] and not overflows.iloc[-1]
        # A skipped step changes nothing, and halves the scale for the next.
        skipped = updates["rms"].to_numpy() == 0
        np.testing.assert_array_equal(scales[1:][skipped[:-1]], scales[:-1][skipped[:-1]] / 2)
        np.testing.assert_array_equal(scales[1:][~skipped[:-1]], scales[:-1][~skipped[:-1]])
        assert skipped[0] and set(np.flatnonzero(overflows)) <= set(np.flatnonzero(skipped))
        # What is recorded is the gradient of the scaled loss.
        last = 4 * N_STEPS - 1
        name: dict[str, Any] = {"layer": "out", "tensor": "kernel"}
        gradient = trace.tensor(last, kind="weight_gradient", **name) / scales[last]
        update = trace.tensor(last, kind="weight_update", **name)
        np.testing.assert_allclose(update, -0.1 * gradient, rtol=2e-2, atol=1e-5)
        final = trace.tensor(last, kind="weight", **name) + update
        np.testing.assert_array_equal(final, model.get_layer("out").kernel)
    assert analyze(tmp_path / "run.h5").verdict is not Verdict.FAULTY


def test_bfloat16_tensors_are_recorded_as_they_are(tmp_path: Path) -> None:
    recorded(lambda: classifier("mixed_bfloat16"), tmp_path / "run.h5")
    with open_trace(tmp_path / "run.h5") as trace:
        kernel = trace.tensor(0, layer="hidden", kind="weight", tensor="kernel")
        bias = trace.tensor(0, layer="hidden", kind="weight", tensor="bias")
        x = tf.cast(VECTORS[:BATCH], tf.bfloat16)
        separate = tf.nn.relu(x @ tf.cast(kernel, tf.bfloat16) + tf.cast(bias, tf.bfloat16))
        found = np.asarray(trace.tensor(0, layer="hidden"), np.float32)
        # Eight bits of mantissa.
        np.testing.assert_allclose(found, np.asarray(separate, np.float32), rtol=2e-2, atol=2e-2)
        n = trace.statistics(layer="hidden", kind="output")["n_nan"]
        assert (n == 0).all()


def test_gradients_are_recorded_before_and_updates_after_clipping(tmp_path: Path) -> None:
    def build() -> Any:
        return classifier(optimizer=keras.optimizers.SGD(0.1, clipnorm=0.01))

    recorded(build, tmp_path / "run.h5")
    with open_trace(tmp_path / "run.h5") as trace:
        for name in ("kernel", "bias"):
            gradient = trace.tensor(0, layer="out", kind="weight_gradient", tensor=name)
            update = trace.tensor(0, layer="out", kind="weight_update", tensor=name)
            norm = np.linalg.norm(gradient)
            assert norm > 0.01
            np.testing.assert_allclose(update, -0.1 * gradient * 0.01 / norm, rtol=1e-2, atol=1e-7)


def test_accumulated_gradients_move_the_weights_in_every_nth_step(tmp_path: Path) -> None:
    def build() -> Any:
        return classifier(optimizer=keras.optimizers.SGD(0.1, gradient_accumulation_steps=2))

    recorded(build, tmp_path / "run.h5", lambda m, c: fit(m, c, epochs=2))
    with open_trace(tmp_path / "run.h5") as trace:
        name: dict[str, Any] = {"layer": "out", "tensor": "kernel"}
        gradients = [trace.tensor(i, kind="weight_gradient", **name) for i in range(4)]
        updates = [trace.tensor(i, kind="weight_update", **name) for i in range(4)]
    for first in (0, 2):
        assert not updates[first].any()
        mean = (gradients[first] + gradients[first + 1]) / 2
        np.testing.assert_allclose(updates[first + 1], -0.1 * mean, rtol=1e-2, atol=1e-6)


def test_a_frozen_layer_has_weights_but_no_gradients_and_no_updates(tmp_path: Path) -> None:
    def build() -> Any:
        model = classifier()
        model.get_layer("hidden").trainable = False
        model.compile(keras.optimizers.SGD(0.1), from_logits())
        return model

    recorded(build, tmp_path / "run.h5")
    with open_trace(tmp_path / "run.h5") as trace:
        kinds = {
            kind: {layer for layer, _, _ in tensors(trace, kind, 0)}
            for kind in (Kind.WEIGHT, Kind.WEIGHT_GRADIENT, Kind.WEIGHT_UPDATE, Kind.OUTPUT)
        }
    assert kinds[Kind.WEIGHT] == kinds[Kind.OUTPUT] == {"hidden", "out"}
    assert kinds[Kind.WEIGHT_GRADIENT] == kinds[Kind.WEIGHT_UPDATE] == {"out"}


def test_nan_in_moving_statistics_is_found_though_the_loss_is_finite(tmp_path: Path) -> None:
    """BatchNormalization trains with the batch's statistics: only inference would show it."""

    class Spoil(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 2:
                self.model.get_layer("norm").moving_variance.assign(np.full(8, np.nan))

    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            keras.Input((FEATURES,)),
            keras.layers.Dense(8, name="hidden"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Dense(3, name="out"),
        ]
    )
    model.compile("sgd", from_logits())
    fit(model, [Recorder(tmp_path / "run.h5"), Spoil()], epochs=2)
    with open_trace(tmp_path / "run.h5") as trace:
        assert np.isfinite(trace.iterations["loss"]).all()
        state = trace.statistics(layer="norm", kind="state", tensor="moving_variance")
        assert list(state["n_nan"]) == [0, 0, 0] + [8] * 7
    diagnosis = analyze(tmp_path / "run.h5")
    assert diagnosis.verdict is Verdict.FAULTY
    fault = diagnosis.first_fault
    assert fault is not None and fault.layer is not None
    assert (fault.layer.name, fault.moment.iteration) == ("norm", 3)
    assert (fault.place.kind, fault.place.tensor) == (Kind.STATE, "moving_variance")


def xla(**compiled: Any) -> Any:
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=1.0)
    return classifier(optimizer=optimizer, **compiled)


def test_under_xla_the_loss_after_a_broken_batch_is_not_known_until_the_epoch_ends(
    tmp_path: Path,
) -> None:
    """There it comes from Keras's running sums, which do not forget a NaN; the batches are fine."""
    x = VECTORS.copy()
    x[2 * BATCH + 1, 3] = np.nan  # the optimizer skips this step, and the weights stay finite

    def train(model: Any, callbacks: list[Any]) -> Any:
        return fit(model, callbacks, x=x, epochs=2)

    recorded(lambda: xla(jit_compile=True), tmp_path / "xla.h5", train)
    recorded(lambda: xla(jit_compile=False), tmp_path / "graph.h5", train)
    with open_trace(tmp_path / "xla.h5") as trace, open_trace(tmp_path / "graph.h5") as graph:
        losses = trace.statistics(kind="loss")
        assert list(losses["iteration"]) == [0, 1, 2, 5, 6, 7]
        assert list(losses["n_nan"]) == [0, 0, 1] * 2
        finite = [0, 1, 5, 6]
        np.testing.assert_allclose(
            trace.iterations["loss"][finite], graph.iterations["loss"][finite], rtol=1e-4
        )
        assert trace.iterations["loss"].drop(finite).isna().all()


def test_under_xla_a_loss_that_keras_does_not_sum_up_is_not_known(tmp_path: Path) -> None:
    class OwnStep(keras.Sequential):
        def train_step(self, data: Any) -> Any:
            x, y = data[:2]
            with tf.GradientTape() as tape:
                loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True))
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            return {"own": loss}

    def build() -> Any:
        keras.utils.set_random_seed(7)
        model = OwnStep([keras.Input((FEATURES,)), keras.layers.Dense(3, name="out")])
        model.compile("sgd", from_logits(), jit_compile=True)
        return model

    recorded(build, tmp_path / "run.h5")
    with open_trace(tmp_path / "run.h5") as trace:
        assert len(trace.statistics(kind="loss")) == 0
        assert trace.iterations["loss"].isna().all()
        assert np.isfinite(trace.iterations["own"]).all()
    assert analyze(tmp_path / "run.h5").verdict is not Verdict.FAULTY


@pytest.mark.parametrize("mode", [{"steps_per_execution": 3}, {"run_eagerly": True}])
def test_every_step_is_recorded_however_many_run_at_once(
    mode: dict[str, Any], tmp_path: Path
) -> None:
    recorded(lambda: classifier(**mode), tmp_path / "run.h5")
    recorded(classifier, tmp_path / "single.h5")
    with open_trace(tmp_path / "run.h5") as trace, open_trace(tmp_path / "single.h5") as single:
        for step in range(N_STEPS):
            np.testing.assert_array_equal(trace.tensor(step, kind="input"), VECTORS[batch_of(step)])
            for kind in (Kind.WEIGHT, Kind.WEIGHT_GRADIENT):
                expected, found = tensors(single, kind, step), tensors(trace, kind, step)
                for key, values in expected.items():
                    np.testing.assert_allclose(found[key], values, rtol=1e-4, atol=1e-6)
