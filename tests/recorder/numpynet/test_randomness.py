"""Dropout and initial weights have the distributions that they claim."""

from math import sqrt

import numpy as np
import pytest

from deeplocalize.recorder.numpynet import Dropout
from deeplocalize.recorder.numpynet.arrays import Array
from deeplocalize.recorder.numpynet.initializers import fans, initial

N = 40_000


def drawn(name: str, shape: tuple[int, ...] = (200, 200)) -> Array:
    return initial(name, np.random.default_rng(0), shape, "float64")


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_dropout_drops_its_part_and_keeps_the_mean(rate: float) -> None:
    layer = Dropout(rate)
    layer.prepare((N,), "float32", np.random.default_rng(0))
    y = layer.forward(np.ones((1, N), dtype="float32"), training=True)
    # Five standard deviations of a binomial count.
    assert (y == 0).mean() == pytest.approx(rate, abs=5 * sqrt(rate * (1 - rate) / N))
    assert set(np.unique(y)) == {0, np.float32(1 / (1 - rate))}


def test_dropout_passes_everything_in_inference() -> None:
    layer = Dropout(0.5)
    x = np.ones((2, 3))
    np.testing.assert_array_equal(layer.forward(x, training=False), x)


def test_dropout_does_not_make_nan_of_inf() -> None:
    layer = Dropout(0.5)
    layer.prepare((N,), "float32", np.random.default_rng(0))
    y = layer.forward(np.full((1, N), np.inf, dtype="float32"), training=True)
    assert set(np.unique(y)) == {0, np.inf}


def test_fans_count_the_window_of_a_convolution() -> None:
    assert fans((3, 5)) == (3, 5)
    assert fans((3, 2, 4, 5)) == (3 * 2 * 4, 3 * 2 * 5)
    assert fans((7,)) == (7, 7)


@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("glorot_uniform", 2 / 400),
        ("glorot_normal", 2 / 400),
        ("he_uniform", 2 / 200),
        ("he_normal", 2 / 200),
        ("normal", 0.05**2),
        ("uniform", 0.05**2 / 3),
    ],
)
def test_initial_weights_have_mean_zero_and_the_variance_of_their_name(
    name: str, variance: float
) -> None:
    values = drawn(name)
    assert values.var() == pytest.approx(variance, rel=0.05)
    assert abs(values.mean()) < 5 * sqrt(variance / values.size)


@pytest.mark.parametrize("name", ["glorot_normal", "he_normal"])
def test_normal_weights_are_cut_at_two_deviations(name: str) -> None:
    values = drawn(name)
    # A unit normal cut at 2 has the deviation 0.88: the cut is at 2 / 0.88 of the result's.
    assert np.abs(values).max() / values.std() == pytest.approx(2 / 0.8796, rel=0.02)


def test_constants_are_constant() -> None:
    assert (drawn("zeros") == 0).all()
    assert (drawn("ones") == 1).all()
