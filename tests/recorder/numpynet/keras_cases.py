"""The same computation in Keras and in the NumPy network, and how far the two are apart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from deeplocalize.recorder.numpynet import Sequential
from deeplocalize.recorder.numpynet.arrays import Array
from deeplocalize.recorder.numpynet.from_keras import from_keras
from deeplocalize.recorder.numpynet.gradient_check import relative_error
from deeplocalize.recorder.numpynet.step import backward, make_objective, parameters

N_STEPS = 10
BATCH_SIZE = 8

_layers = keras.layers


def mlp(activation: str = "softmax") -> Any:
    """Two dense layers on eight features."""
    return keras.Sequential(
        [
            keras.Input((8,)),
            _layers.Dense(12, activation="relu"),
            _layers.BatchNormalization(),
            _layers.Dense(6, activation="tanh"),
            _layers.Dense(3, activation=activation),
        ]
    )


def cnn(activation: str = "softmax") -> Any:
    """Two convolutions with both poolings on 12 x 12 images."""
    return keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            _layers.Conv2D(4, 3, padding="same", activation="relu"),
            _layers.MaxPooling2D(),
            _layers.Conv2D(6, 3, strides=2, padding="same"),
            _layers.LeakyReLU(),
            _layers.AveragePooling2D(2, padding="same"),
            _layers.Flatten(),
            _layers.Dense(3),
            _layers.Activation(activation),
        ]
    )


def words(activation: str = "softmax") -> Any:
    """An embedding of six numbers under 20."""
    return keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            _layers.Embedding(20, 4),
            _layers.Flatten(),
            _layers.Dense(3, activation=activation),
        ]
    )


def compiled(model: Any, optimizer: Any = "sgd", loss: Any = "categorical_crossentropy") -> Any:
    """The model, with accuracy, run eagerly: tracing it would take longer than its steps."""
    model.compile(optimizer, loss, metrics=["accuracy"], run_eagerly=True)
    return model


def inputs_for(model: Any, n: int) -> Array:
    """Random samples that the model takes."""
    rng = np.random.default_rng(5)
    shape = (n, *model.input_shape[1:])
    if isinstance(model.layers[0], _layers.Embedding):
        return rng.integers(0, 20, shape)
    return rng.normal(size=shape).astype("float32")


def one_hot_labels(n: int) -> Array:
    """Random labels of three classes."""
    return np.eye(3, dtype="float32")[np.random.default_rng(6).integers(0, 3, n)]


@dataclass(frozen=True)
class OptimizerCase:
    """An optimizer of Keras's, made anew for each model."""

    name: str
    make: Callable[[], Any]


_optimizers = keras.optimizers

OPTIMIZER_CASES = (
    OptimizerCase("SGD", lambda: _optimizers.SGD(0.1)),
    OptimizerCase("SGD, momentum", lambda: _optimizers.SGD(0.05, momentum=0.9)),
    OptimizerCase("SGD, Nesterov", lambda: _optimizers.SGD(0.05, momentum=0.9, nesterov=True)),
    OptimizerCase("RMSprop", lambda: _optimizers.RMSprop()),
    OptimizerCase(
        "RMSprop, momentum, centered", lambda: _optimizers.RMSprop(momentum=0.5, centered=True)
    ),
    OptimizerCase("Adam", lambda: _optimizers.Adam()),
    OptimizerCase(
        "Adam, decaying rate",
        lambda: _optimizers.Adam(_optimizers.schedules.ExponentialDecay(0.01, 2, 0.5)),
    ),
)

NETWORKS = (mlp, cnn, words)


def ten_steps_apart(make: Callable[[], Any], optimizer: OptimizerCase) -> float:
    """Largest relative difference of a weight or state after the same ten steps."""
    keras.utils.set_random_seed(1)
    model = compiled(make(), optimizer.make())
    network = from_keras(model)
    x, y = inputs_for(model, N_STEPS * BATCH_SIZE), one_hot_labels(N_STEPS * BATCH_SIZE)
    for start in range(0, len(x), BATCH_SIZE):
        batch = slice(start, start + BATCH_SIZE)
        model.train_on_batch(x[batch], y[batch])
        network.train_on_batch(x[batch], y[batch])
    return weights_apart(network, model)


def weights_apart(network: Sequential, model: Any) -> float:
    """Largest relative difference of a weight or state."""
    pairs = zip(network.get_weights(), model.get_weights(), strict=True)
    return max(relative_error(found, wanted) for found, wanted in pairs)


def gradients_apart(model: Any, x: Array, y: Array) -> float:
    """Largest relative difference of the outputs, the loss and the weights' gradients."""
    network = from_keras(model)
    with tf.GradientTape() as tape:
        wanted_output = model(x, training=True)
        wanted_loss = model.compute_loss(x=x, y=y, y_pred=wanted_output)
    wanted = tape.gradient(wanted_loss, model.trainable_weights)
    output = network.outputs(x, training=True)
    objective = make_objective(network.loss, network.layers)
    loss = objective.value(y, network.layers, output, None)
    gradient = objective.gradient(y, network.layers, output, None)
    backward(network.layers, gradient, objective.is_fused)
    found = [parameter.gradient for parameter in parameters(network.layers)]
    return max(
        relative_error(output, wanted_output.numpy()),
        relative_error(np.asarray(loss), wanted_loss.numpy()),
        relative_error(_joined(found), _joined(wanted)),
    )


def _joined(arrays: Sequence[Any]) -> Array:
    """All in one vector: rounding is relative to the largest gradient of the network."""
    return np.concatenate([np.ravel(tf.convert_to_tensor(array)) for array in arrays])
