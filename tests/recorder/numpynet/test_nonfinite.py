"""NaN and Inf go through the network unhidden, and none is invented on the way."""

import numpy as np
import pytest

from deeplocalize.recorder.numpynet import AveragePooling2D, Layer, MaxPooling2D, ReLU
from deeplocalize.recorder.numpynet.arrays import Array
from deeplocalize.recorder.numpynet.losses import loss_named


def image(value: float) -> Array:
    x = np.arange(16.0).reshape(1, 4, 4, 1)
    x[0, 1, 1, 0] = value
    return x


@pytest.mark.parametrize("layer", [MaxPooling2D(), AveragePooling2D(), ReLU()])
def test_a_nan_stays_in_its_window(layer: Layer) -> None:
    layer.prepare((4, 4, 1), "float64", np.random.default_rng(0))
    assert np.isnan(layer.forward(image(np.nan), training=True)).sum() == 1


def test_an_infinite_gradient_goes_to_the_largest_pixel_alone() -> None:
    layer = MaxPooling2D()
    layer.prepare((4, 4, 1), "float64", np.random.default_rng(0))
    layer.forward(image(99.0), training=True)
    gradient = layer.backward(np.full((1, 2, 2, 1), np.inf))
    assert gradient[0, 1, 1, 0] == np.inf
    assert np.isfinite(gradient).sum() == 12
    assert not np.isnan(gradient).any()


@pytest.mark.parametrize("name", ["categorical_crossentropy", "mse", "mae", "huber"])
def test_one_nan_output_makes_the_loss_nan_and_the_gradient_of_its_row(name: str) -> None:
    p = np.full((2, 3), 0.3)
    p[1, 0] = np.nan
    loss = loss_named(name)
    assert np.isnan(loss(np.eye(3)[:2], p))
    assert np.isnan(loss.gradient(np.eye(3)[:2], p)).any(axis=1).tolist() == [False, True]


def test_a_certain_and_wrong_probability_costs_what_the_clipping_allows() -> None:
    loss = loss_named("categorical_crossentropy")
    y, p = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    assert loss(y, p) == pytest.approx(-np.log(1e-7))
    assert not loss.gradient(y, p).any()
