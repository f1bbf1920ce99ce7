"""Every backward pass against central differences, extrapolated, in float64."""

import numpy as np
import pytest

from deeplocalize.recorder.numpynet import (
    AveragePooling2D,
    BatchNormalization,
    Conv2D,
    Dense,
    Flatten,
    Sequential,
)
from deeplocalize.recorder.numpynet.arrays import Array
from deeplocalize.recorder.numpynet.gradient_check import numeric_gradient, relative_error
from deeplocalize.recorder.numpynet.losses import loss_named
from deeplocalize.recorder.numpynet.step import backward, make_objective

from .cases import LAYER_CASES, LOSS_CASES, LayerCase, LossCase

TOLERANCE = 1e-10


@pytest.mark.parametrize("case", LAYER_CASES, ids=lambda case: case.name)
def test_a_layers_gradients_equal_the_differences_of_its_output(case: LayerCase) -> None:
    assert case.error() < TOLERANCE


@pytest.mark.parametrize("case", LOSS_CASES, ids=lambda case: case.name)
def test_a_losss_gradient_equals_the_differences_of_its_value(case: LossCase) -> None:
    assert case.error() < TOLERANCE


@pytest.mark.parametrize(
    ("activation", "loss"),
    [
        ("softmax", "categorical_crossentropy"),
        ("sigmoid", "binary_crossentropy"),
        ("linear", "mean_squared_error"),
    ],
)
def test_a_whole_networks_gradients_equal_the_differences_of_its_loss(
    activation: str, loss: str
) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 6, 6, 1))
    y = np.eye(3)[[0, 1, 2, 1, 0]]
    network = Sequential(dtype="float64", seed=0)
    for layer in (
        Conv2D(2, 3, padding="same", activation="tanh"),
        BatchNormalization(),
        AveragePooling2D(),
        Flatten(),
        Dense(3, activation),
    ):
        network.add(layer)
    network.build(x.shape[1:])
    objective = make_objective(loss_named(loss), network.layers)

    def value(_: Array) -> float:
        output = network.outputs(x, training=True)
        return objective.value(y, network.layers, output, None)

    output = network.outputs(x, training=True)
    gradient = objective.gradient(y, network.layers, output, None)
    backward(network.layers, gradient, objective.is_fused)
    found = [
        (layer.gradients[name].copy(), weight)
        for layer in network.layers
        for name, weight in layer.weights.items()
    ]
    scale = max(float(np.abs(gradient).max()) for gradient, _ in found)
    # The bias before a BatchNormalization has the gradient 0: compare with the largest of all.
    errors = [np.abs(g - numeric_gradient(value, w)).max() / scale for g, w in found]
    assert max(errors) < TOLERANCE


def test_the_relative_error_of_a_wrong_gradient_is_seen() -> None:
    x = np.array([1.0, 2.0])
    wanted = numeric_gradient(lambda x: float((x**3).sum()), x)
    assert relative_error(wanted, 3 * x**2) < TOLERANCE
    assert relative_error(wanted, 3.001 * x**2) > 1e-4
