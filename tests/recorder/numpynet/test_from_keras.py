"""Translation of Keras models: what is carried over, and what is refused."""

from typing import Any

import keras
import numpy as np
import pytest

from deeplocalize.recorder.numpynet.description import layer_descriptions
from deeplocalize.recorder.numpynet.from_keras import from_keras
from deeplocalize.recorder.numpynet.gradient_check import relative_error

from .keras_cases import cnn, compiled, inputs_for, mlp, one_hot_labels, weights_apart

layers = keras.layers


def dense_then(*more: Any, loss: Any = "mse", optimizer: Any = "sgd") -> Any:
    return compiled(
        keras.Sequential([keras.Input((4,)), layers.Dense(4, name="first"), *more]), optimizer, loss
    )


def test_names_classes_shapes_and_parameters_are_kept() -> None:
    model = compiled(cnn())
    found = layer_descriptions(from_keras(model))
    assert [layer.name for layer in found] == [layer.name for layer in model.layers]
    assert [layer.class_name for layer in found] == [type(k).__name__ for k in model.layers]
    assert [layer.output_shapes[0] for layer in found] == [k.output.shape for k in model.layers]
    assert [layer.n_parameters for layer in found] == [k.count_params() for k in model.layers]
    assert found[0].activation == "relu"
    assert found[1].inbound == (model.layers[0].name,)


def test_a_functional_model_of_one_path_is_translated() -> None:
    inputs = keras.Input((4,))
    hidden = layers.Dense(5, activation="relu")(inputs)
    model = compiled(keras.Model(inputs, layers.Dense(3, activation="softmax")(hidden)))
    x = inputs_for(model, 6)
    assert relative_error(from_keras(model).predict(x), model.predict(x, verbose=0)) < 1e-6


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", keras.optimizers.SGD(0.1, momentum=0.9)])
def test_a_training_can_be_continued_where_keras_left_it(optimizer: Any) -> None:
    model = compiled(mlp(), optimizer)
    x, y = inputs_for(model, 32), one_hot_labels(32)
    arguments: dict[str, Any] = {"batch_size": 8, "shuffle": False, "verbose": 0}
    model.fit(x, y, **arguments)
    network = from_keras(model)
    assert network.optimizer.iterations == 4
    model.fit(x, y, **arguments)
    network.fit(x, y, **arguments)
    assert weights_apart(network, model) < 3e-6


def test_a_frozen_layer_stays_as_it_is() -> None:
    model = dense_then(layers.Dense(2))
    model.layers[0].trainable = False
    model.compile("sgd", "mse")
    network = from_keras(model)
    before = network.layers[0].weights["kernel"].copy()
    network.fit(np.ones((4, 4)), np.ones((4, 2)), verbose=0)
    np.testing.assert_array_equal(network.layers[0].weights["kernel"], before)
    assert network.layers[1].is_learning


@pytest.mark.parametrize(
    ("layer", "complaint"),
    [
        (layers.GaussianNoise(0.1, name="odd"), "layer 'odd' .GaussianNoise. has no counterpart"),
        (layers.Dense(2, activation="gelu", name="odd"), "layer 'odd' .* activation 'gelu'"),
        (layers.Dense(2, kernel_regularizer="l2", name="odd"), "'odd' .* kernel_regularizer"),
        (layers.ReLU(max_value=6, name="odd"), "layer 'odd' .ReLU.: max_value=6"),
        (keras.Sequential([layers.Dense(2)], name="odd"), "layer 'odd' .Sequential."),
    ],
)
def test_the_first_layer_without_a_counterpart_is_named(layer: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        from_keras(dense_then(layer, layers.GaussianNoise(0.1, name="later")))


def test_a_users_subclass_of_a_layer_is_refused() -> None:
    class Doubled(keras.layers.Dense):
        pass

    with pytest.raises(ValueError, match=r"Doubled.*has no counterpart"):
        from_keras(dense_then(Doubled(2)))


def test_a_model_that_branches_is_refused_at_the_branch() -> None:
    inputs = keras.Input((4,))
    hidden = layers.Dense(4)(inputs)
    outputs = layers.Add(name="joined")([inputs, hidden])
    with pytest.raises(ValueError, match="layer 'joined' is not fed by the layer before it alone"):
        from_keras(compiled(keras.Model(inputs, outputs)))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"loss": "hinge"}, "unknown loss 'hinge'"),
        ({"loss": keras.losses.Poisson()}, "loss Poisson has no counterpart"),
        ({"loss": keras.losses.Huber(reduction="sum")}, "loss Huber: reduction='sum'"),
        ({"optimizer": "adagrad"}, "optimizer Adagrad has no counterpart"),
        ({"optimizer": keras.optimizers.Adam(amsgrad=True)}, "Adam: amsgrad=True"),
        ({"optimizer": keras.optimizers.SGD(clipnorm=1.0)}, "SGD: clipnorm=1.0"),
    ],
)
def test_a_loss_or_optimizer_without_a_counterpart_is_named(
    arguments: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        from_keras(dense_then(**arguments))


def test_a_model_that_is_not_compiled_is_refused() -> None:
    with pytest.raises(ValueError, match="wants a built and compiled Keras model"):
        from_keras(mlp())
