"""A small softmax that the step does not use is taken from a cheaper operation, no other is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from deeplocalize.recorder import Recorder
from deeplocalize.recorder.backends.tensorflow_softmax import cheaper_softmax
from deeplocalize.recorder.schedule import always
from deeplocalize.traces import open_trace

LOGITS = np.random.default_rng(0).normal(0, 9, (64, 10)).astype(np.float32)


def traced(step: Callable[[tf.Tensor], Any], *shape: int | None) -> Any:
    """A step's graph."""
    return tf.function(step).get_concrete_function(tf.TensorSpec(shape))


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.asarray(np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True))


def test_an_unused_softmax_is_taken_in_float64_and_rounded_once() -> None:
    step = traced(lambda logits: cheaper_softmax(tf.nn.softmax(logits)), None, 10)
    found = step(tf.constant(LOGITS)).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, softmax(LOGITS), rtol=2**-23)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_breaks_a_softmax_breaks_the_cheaper_one(value: float) -> None:
    logits = LOGITS.copy()
    logits[3, 2], logits[5] = value, -np.inf
    step = traced(lambda x: cheaper_softmax(tf.nn.softmax(x)), None, 10)
    found = step(tf.constant(logits)).numpy()
    is_broken = np.isnan(tf.nn.softmax(logits)).any(axis=1)
    assert is_broken[5] and is_broken[3] == (value != -np.inf)
    np.testing.assert_array_equal(np.isnan(found).any(axis=1), is_broken)
    # oneDNN makes NaN and 0 of some such rows.
    np.testing.assert_array_equal(np.isnan(found).all(axis=1), is_broken)


def test_a_softmax_that_the_step_uses_is_left_as_it_is() -> None:
    def step(logits: tf.Tensor) -> tf.Tensor:
        probabilities = tf.nn.softmax(logits)
        best = tf.argmax(tf.identity(probabilities), axis=1)
        assert cheaper_softmax(probabilities) is probabilities
        return best

    traced(step, None, 10)


@pytest.mark.parametrize(
    ("shape", "is_small"),
    [
        ((None, 256), True),
        ((None, 257), False),
        ((8, 1024), True),
        ((819, 10), True),
        ((820, 10), False),
        ((None, None, 10), False),
        ((10,), False),
    ],
)
def test_only_a_small_softmax_is_cheaper_in_float64(
    shape: tuple[int | None, ...], is_small: bool
) -> None:
    def step(logits: tf.Tensor) -> tf.Tensor:
        probabilities = tf.nn.softmax(logits)
        assert (cheaper_softmax(probabilities) is not probabilities) is is_small
        return logits

    traced(step, *shape)


class Returning(keras.Sequential):
    """Its step returns the probabilities."""

    def train_step(self, data: Any) -> Any:
        x, y = data
        with tf.GradientTape() as tape:
            probabilities = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=probabilities)
        self.optimizer.apply(tape.gradient(loss, self.trainable_weights), self.trainable_weights)
        return {"loss": loss, "first": probabilities}


@pytest.mark.parametrize(
    ("kind", "metrics", "is_own"),
    [
        (keras.Sequential, None, False),
        (keras.Sequential, ["accuracy"], True),
        (Returning, None, True),
    ],
)
def test_probabilities_are_the_steps_own_where_it_uses_or_returns_them(
    kind: type[keras.Sequential], metrics: list[str] | None, is_own: bool, tmp_path: Path
) -> None:
    dense = keras.layers.Dense(3, "softmax", kernel_initializer=keras.initializers.Constant(0))
    model = kind([keras.Input((3,)), dense])
    dense.kernel.assign(np.eye(3))  # its logits are its input
    model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy", metrics=metrics)
    x = np.ascontiguousarray(LOGITS[:8, :3])
    recorder = Recorder(tmp_path / "run.h5", tensors=always)
    model.fit(x, np.zeros(8), batch_size=8, shuffle=False, verbose=0, callbacks=[recorder])
    with open_trace(tmp_path / "run.h5") as trace:
        recorded = trace.tensor(0, layer=0)
    own = tf.function(tf.nn.softmax)(x).numpy()
    rounded = softmax(x).astype(np.float32)
    assert (own != rounded).any()  # else this would show nothing
    np.testing.assert_array_equal(recorded, own if is_own else rounded)
