"""The network computes what Keras computes, in float32."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from deeplocalize.recorder.numpynet.from_keras import from_keras
from deeplocalize.recorder.numpynet.gradient_check import relative_error

from .keras_cases import (
    NETWORKS,
    OPTIMIZER_CASES,
    OptimizerCase,
    cnn,
    compiled,
    gradients_apart,
    inputs_for,
    mlp,
    one_hot_labels,
    ten_steps_apart,
    weights_apart,
)

# About 20 roundings of float32 (6e-8 each), relative to the largest number of a tensor.
TOLERANCE = 3e-6

layers = keras.layers
losses = keras.losses


@pytest.mark.parametrize("optimizer", OPTIMIZER_CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("make", NETWORKS)
def test_ten_steps_on_the_same_batches_lead_to_the_same_weights(
    make: Callable[[], Any], optimizer: OptimizerCase
) -> None:
    assert ten_steps_apart(make, optimizer) < TOLERANCE


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "linear"])
@pytest.mark.parametrize(
    "loss",
    [
        losses.CategoricalCrossentropy(),
        losses.CategoricalCrossentropy(from_logits=True),
        losses.BinaryCrossentropy(),
        losses.BinaryCrossentropy(from_logits=True),
        losses.MeanSquaredError(),
        losses.MeanAbsoluteError(),
        losses.Huber(0.3),
    ],
    ids=lambda loss: loss.name,
)
@pytest.mark.filterwarnings("ignore:.*does not represent logits.*")
def test_loss_and_gradients_are_the_same_for_every_loss_and_last_activation(
    loss: Any, activation: str
) -> None:
    keras.utils.set_random_seed(1)
    model = compiled(mlp(activation), loss=loss)
    assert gradients_apart(model, inputs_for(model, 8), one_hot_labels(8)) < TOLERANCE


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("activation", ["softmax", "linear"])
@pytest.mark.filterwarnings("ignore:.*does not represent logits.*")
def test_sparse_labels_give_the_same_loss_and_gradients(activation: str, from_logits: bool) -> None:
    keras.utils.set_random_seed(1)
    loss = losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    model = compiled(mlp(activation), loss=loss)
    y = one_hot_labels(8).argmax(axis=-1)
    assert gradients_apart(model, inputs_for(model, 8), y) < TOLERANCE


@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        ((5,), lambda: layers.Dense(3, activation="elu")),
        ((5,), lambda: layers.Dense(3, activation="leaky_relu", use_bias=False)),
        ((4, 5), lambda: layers.Dense(3, activation="tanh")),
        ((7, 8, 2), lambda: layers.Conv2D(3, 3)),
        ((7, 8, 2), lambda: layers.Conv2D(3, (2, 3), strides=(2, 1), padding="same")),
        ((7, 8, 2), lambda: layers.Conv2D(3, 4, strides=3, padding="same", activation="sigmoid")),
        ((7, 8, 2), lambda: layers.Conv2D(3, 2, strides=2)),
        ((7, 8, 2), lambda: layers.MaxPooling2D()),
        ((7, 8, 2), lambda: layers.MaxPooling2D(3, 2, padding="same")),
        ((7, 8, 2), lambda: layers.AveragePooling2D((2, 3))),
        ((7, 8, 2), lambda: layers.AveragePooling2D(3, 2, padding="same")),
        ((7, 8, 2), lambda: layers.BatchNormalization()),
        ((5,), lambda: layers.BatchNormalization(momentum=0.9, epsilon=1e-5, scale=False)),
        ((5,), lambda: layers.BatchNormalization(center=False, trainable=False)),
        ((5,), lambda: layers.ReLU()),
        ((5,), lambda: layers.LeakyReLU()),
        ((5,), lambda: layers.ELU(0.7)),
        ((5,), lambda: layers.Softmax()),
        ((5,), lambda: layers.Activation("tanh")),
        ((5,), lambda: layers.Dropout(0.0)),
    ],
)
def test_a_layer_between_others_gives_the_same_outputs_and_gradients(
    shape: tuple[int, ...], layer: Callable[[], Any]
) -> None:
    """The first layer's gradients show that the gradient by the layer's input is the same."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input(shape),
            layers.Dense(shape[-1]),
            layer(),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    model = compiled(model, loss="mse")
    x = inputs_for(model, 4)
    y = np.random.default_rng(0).normal(size=(4, 2)).astype("float32")
    assert gradients_apart(model, x, y) < TOLERANCE


def test_moving_statistics_after_training_give_the_same_inference() -> None:
    keras.utils.set_random_seed(1)
    model = compiled(mlp(), "adam")
    network = from_keras(model)
    x, y = 3 * inputs_for(model, 80) + 2, one_hot_labels(80)
    model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    network.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    assert relative_error(network.predict(x), model.predict(x, verbose=0)) < 2 * TOLERANCE


@pytest.mark.parametrize(
    ("last", "loss", "labels"),
    [
        (layers.Dense(3, activation="softmax"), "categorical_crossentropy", one_hot_labels(30)),
        (
            layers.Dense(3, activation="softmax"),
            "sparse_categorical_crossentropy",
            one_hot_labels(30).argmax(axis=-1),
        ),
        (
            layers.Dense(1, activation="sigmoid"),
            "binary_crossentropy",
            one_hot_labels(30)[:, 0],
        ),
        (layers.Dense(3, activation="sigmoid"), "binary_crossentropy", one_hot_labels(30)),
    ],
)
def test_fit_logs_the_same_loss_accuracy_and_error_as_keras(
    last: Any, loss: str, labels: Any
) -> None:
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((8,)), last])
    model.compile("sgd", loss, metrics=["accuracy", "mae"], run_eagerly=True)
    if loss.startswith("sparse"):
        model.compile("sgd", loss, metrics=["acc"], run_eagerly=True)
    network = from_keras(model)
    x = inputs_for(model, 30)
    arguments: dict[str, Any] = {"batch_size": 8, "epochs": 2, "shuffle": False, "verbose": 0}
    wanted = model.fit(x, labels, validation_split=0.3, **arguments)
    found = network.fit(x, labels, validation_split=0.3, **arguments)
    assert found.epoch == wanted.epoch
    assert found.history.keys() == wanted.history.keys()
    for name, values in wanted.history.items():
        np.testing.assert_allclose(found.history[name], values, rtol=1e-5, err_msg=name)


def test_sample_and_class_weights_act_as_in_keras() -> None:
    keras.utils.set_random_seed(1)
    model = compiled(cnn())
    network = from_keras(model)
    x, y = inputs_for(model, 24), one_hot_labels(24)
    weight = np.random.default_rng(0).uniform(0, 2, 24)
    for arguments in ({"sample_weight": weight}, {"class_weight": {0: 0.1, 1: 3.0}}):
        model.fit(x, y, batch_size=8, shuffle=False, verbose=0, **arguments)
        network.fit(x, y, batch_size=8, shuffle=False, verbose=0, **arguments)
    assert weights_apart(network, model) < TOLERANCE


def test_a_callback_of_keras_can_stop_the_training() -> None:
    model = compiled(mlp())
    network = from_keras(model)
    x, y = inputs_for(model, 16), one_hot_labels(16)
    stopping = keras.callbacks.EarlyStopping("loss", mode="max", patience=2)
    history = network.fit(x, y, epochs=9, verbose=0, callbacks=[stopping])
    assert history.epoch == [0, 1, 2]
