"""A softmax that the step does not use is taken from a cheaper operation, and no other is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplocalize.recorder import Recorder
from deeplocalize.recorder.backends.tensorflow_unused import at_less_cost
from deeplocalize.recorder.schedule import always
from deeplocalize.traces import open_trace

LOGITS = np.random.default_rng(0).normal(0, 9, (64, 10)).astype(np.float32)


def traced(step: Callable[[tf.Tensor], Any], n_classes: int = 10) -> Any:
    """A step's graph, to which the batch's size is not known."""
    return tf.function(step).get_concrete_function(tf.TensorSpec((None, n_classes)))


def test_an_unused_softmax_is_taken_in_float64_and_rounded_once() -> None:
    def step(logits: tf.Tensor) -> tf.Tensor:
        probabilities = tf.nn.softmax(logits)
        cheaper = at_less_cost(probabilities)
        assert cheaper is not probabilities
        return cheaper

    exact = np.exp(LOGITS.astype(np.float64) - LOGITS.max(axis=1, keepdims=True))
    exact /= exact.sum(axis=1, keepdims=True)
    found = traced(step)(tf.constant(LOGITS)).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact, rtol=2**-23)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_breaks_a_softmax_breaks_the_cheaper_one(value: float) -> None:
    broken = LOGITS.copy()
    broken[3, 2] = value
    found = traced(lambda logits: at_less_cost(tf.nn.softmax(logits)))(tf.constant(broken))
    # oneDNN makes NaN and 0 of such a row.
    in_rows = np.isnan(tf.nn.softmax(broken)).any(axis=1)
    np.testing.assert_array_equal(np.isnan(found).any(axis=1), in_rows)
    np.testing.assert_array_equal(np.isnan(found).all(axis=1), in_rows)


def test_a_softmax_that_the_step_uses_is_left_as_it_is() -> None:
    def step(logits: tf.Tensor) -> tf.Tensor:
        probabilities = tf.identity(tf.nn.softmax(logits))
        best = tf.argmax(probabilities, axis=1)
        assert at_less_cost(probabilities) is probabilities
        return best

    traced(step)


def test_a_softmax_over_many_classes_is_left_as_it_is() -> None:
    def step(logits: tf.Tensor) -> tf.Tensor:
        probabilities = tf.nn.softmax(logits)
        assert at_less_cost(probabilities) is probabilities
        return logits

    traced(step, n_classes=1000)


@pytest.mark.parametrize("metrics", [[], ["accuracy"]])
def test_probabilities_are_recorded_whether_the_step_uses_them_or_not(
    metrics: list[str], tmp_path: Path
) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy", metrics=metrics)
    x = np.random.default_rng(1).normal(size=(8, 4)).astype(np.float32)
    recorder = Recorder(tmp_path / "run.h5", tensors=always)
    model.fit(x, np.zeros(8), batch_size=8, shuffle=False, verbose=0, callbacks=[recorder])
    with open_trace(tmp_path / "run.h5") as trace:
        recorded = trace.tensor(0, layer=0)
    np.testing.assert_allclose(recorded, model(x), rtol=1e-5)
