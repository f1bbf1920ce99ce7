"""The levels of a loss against a search for the best constant on drawn targets."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deeplocalize.analyzer.rules.levels import Levels, accuracy_levels, levels_of
from deeplocalize.traces.header import DataSummary, FeatureSummary, Header, Layer
from deeplocalize.traces.schema import Kind

from .runs import HEADER, LABELS

Values = NDArray[np.float64]
RANDOM = np.random.default_rng(0)
NORMAL = 3.0 + 2.0 * RANDOM.standard_normal(20_000)
SKEWED = np.exp(2.0 + 0.6 * RANDOM.standard_normal(20_000))
COUNTS = RANDOM.poisson(2.5, 20_000).astype(float)
SIGNS = np.where(RANDOM.random(20_000) < 0.3, 1.0, -1.0)


def target(y: Values, **facts: Any) -> DataSummary:
    """What the recorder says about a column of targets."""
    is_whole = bool((y == np.round(y)).all())
    values, counts = np.unique(y, return_counts=True)
    usual: dict[str, Any] = {
        "role": Kind.LABEL, "name": "y", "shape": (None, 1), "dtype": "float32",
        "n_samples": len(y), "min": float(y.min()), "max": float(y.max()), "mean": float(y.mean()),
        "std": float(y.std()), "is_integer_valued": is_whole, "is_one_hot": False,
        "class_counts": dict(zip(map("{:g}".format, values), counts.tolist(), strict=True))
        if is_whole else {},
    }  # fmt: skip
    return DataSummary(**{**usual, **facts})


def header(loss: object, labels: DataSummary = LABELS, **facts: Any) -> Header:
    return replace(HEADER, loss=loss, data=(labels,), **facts)


def levels(loss: object, labels: DataSummary = LABELS) -> Levels:
    found = levels_of(header(loss, labels))
    assert found is not None
    return found


def searched(function: Callable[[Values, Values], Values], y: Values) -> float:
    """The smallest mean of a loss over the targets that a constant reaches."""
    constants = np.linspace(y.min() - 1, y.max() + 1, 2001)
    return min(float(np.mean(function(y, np.full_like(y, c)))) for c in constants)


def huber(y: Values, p: Values) -> Values:
    x = np.abs(y - p)
    return np.where(x < 1, x**2 / 2, x - 0.5)


FUNCTIONS: dict[str, Callable[[Values, Values], Values]] = {
    "mse": lambda y, p: (y - p) ** 2,
    "mae": lambda y, p: np.abs(y - p),
    "huber": huber,
    "log_cosh": lambda y, p: np.log(np.cosh(y - p)),
    "mean_squared_logarithmic_error": lambda y, p: (
        (np.log1p(np.maximum(y, 0)) - np.log1p(np.maximum(p, 0))) ** 2
    ),
    "hinge": lambda y, p: np.maximum(1 - y * p, 0),
    "squared_hinge": lambda y, p: np.maximum(1 - y * p, 0) ** 2,
}


@pytest.mark.parametrize("name", ["mse", "mae", "huber", "log_cosh"])
@pytest.mark.parametrize("y", [NORMAL, SKEWED, COUNTS], ids=["normal", "skewed", "counts"])
def test_the_trivial_level_is_what_the_best_constant_costs(name: str, y: Values) -> None:
    expected = searched(FUNCTIONS[name], y)
    assert levels(name, target(y)).trivial == pytest.approx(expected, rel=0.05)
    assert levels(name, target(y)).perfect == 0


def test_skewed_targets_are_compared_by_their_logarithms() -> None:
    name = "mean_squared_logarithmic_error"
    expected = searched(FUNCTIONS[name], SKEWED)
    assert levels("msle", target(SKEWED)).trivial == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize("name", ["hinge", "squared_hinge"])
def test_hinges_take_signs_and_zeros_and_ones_alike(name: str) -> None:
    expected = searched(FUNCTIONS[name], SIGNS)
    assert levels(name, target(SIGNS)).trivial == pytest.approx(expected, rel=0.01)
    assert levels(name, target((SIGNS + 1) / 2)).trivial == pytest.approx(expected, rel=0.01)


def test_counts_scatter_around_their_rate_whatever_a_model_knows() -> None:
    rates = np.exp(1.0 + 0.7 * RANDOM.standard_normal(20_000))
    y = RANDOM.poisson(rates).astype(float)
    found, mean = levels("poisson", target(y)), float(y.mean())
    assert found.trivial == pytest.approx(mean - mean * math.log(mean), rel=1e-3)
    known = float(np.mean(rates - y * np.log(rates)))
    assert found.share_left(known) == pytest.approx(0.0, abs=0.15)


def test_counts_of_one_rate_leave_nothing_to_learn() -> None:
    assert levels_of(header("poisson", target(COUNTS))) is None


def test_one_hot_rows_have_the_level_of_their_columns() -> None:
    shares = np.array([220, 210, 210]) / 640
    assert levels("mae").trivial == pytest.approx(float(shares.mean()))
    assert levels("huber").trivial == pytest.approx(float((shares * (1 - shares)).mean() / 2))
    assert levels("categorical_crossentropy").trivial == pytest.approx(
        float(-(shares * np.log(shares)).sum())
    )
    assert levels("kl_divergence") == levels("categorical_crossentropy")
    assert levels("categorical_hinge").trivial == 1
    cosine = levels("cosine_similarity")
    assert cosine.trivial == pytest.approx(-math.sqrt(float((shares**2).sum())))
    assert cosine.perfect == -1


def test_smoothed_labels_leave_a_perfect_model_some_loss() -> None:
    loss = {"class_name": "CategoricalCrossentropy", "config": {"label_smoothing": 0.1}}
    rows = np.array([0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3])
    assert levels(loss).perfect == pytest.approx(float(-(rows * np.log(rows)).sum()))
    assert levels(loss).trivial > levels("categorical_crossentropy").trivial


def test_labels_between_0_and_1_have_an_entropy_of_their_own() -> None:
    y = RANDOM.random(20_000)
    found = levels("binary_crossentropy", target(y))
    entropy = float(np.mean(-y * np.log(y) - (1 - y) * np.log(1 - y)))
    assert found.trivial == pytest.approx(math.log(2), rel=0.01)
    assert 0.8 * entropy < found.perfect <= entropy


def test_columns_vary_around_their_own_means() -> None:
    labels = target(NORMAL, shape=(None, 4), features=FeatureSummary(4, 100, mean_variance=0.25))
    assert levels("mse", labels).trivial == pytest.approx(0.25)


@pytest.mark.parametrize("loss", ["my_loss", {"a": "mse", "b": "mae"}, None, "dice"])
def test_a_loss_of_unknown_definition_has_no_levels(loss: object) -> None:
    assert levels_of(header(loss)) is None


def test_what_a_loss_averages_over_has_to_be_known() -> None:
    labels = target(NORMAL)
    weights = replace(labels, role=Kind.SAMPLE_WEIGHT)
    ones = replace(weights, min=1.0, max=1.0)
    summed = {"class_name": "MeanSquaredError", "config": {"reduction": "sum"}}
    assert levels_of(replace(HEADER, loss="mse", data=(labels, weights))) is None
    assert levels_of(replace(HEADER, loss="mse", data=(labels, ones))) is not None
    assert levels_of(header(summed, labels)) is None
    assert levels_of(replace(HEADER, data=())) is None


def test_padding_that_is_masked_makes_no_levels() -> None:
    tokens = Layer(0, "words", "words", "Embedding", 0, config={"mask_zero": True})
    labels = target(COUNTS, shape=(None, 12))
    name = "sparse_categorical_crossentropy"
    assert levels_of(header(name, labels, layers=(tokens,))) is None
    assert levels_of(header(name, labels)) is not None
    assert levels_of(header(name, target(COUNTS), layers=(tokens,))) is not None


def test_rows_of_one_hot_steps_are_no_classes() -> None:
    steps = target(np.array([0.0, 0.0, 1.0]), shape=(None, 7, 3))
    assert levels_of(header("categorical_crossentropy", steps)) is None


def test_accuracies_compare_with_the_most_frequent_class() -> None:
    assert accuracy_levels(HEADER) == Levels(220 / 640, 1.0)
    assert accuracy_levels(header("mse", target(NORMAL))) is None
