"""From gradients to updates: two optimizers, clipping, accumulation."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from deeplocalize.traces import Kind, open_trace

from .models import FEATURES, VECTORS
from .side_by_side import BATCH, classifier, fit, recorded, tensors


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
