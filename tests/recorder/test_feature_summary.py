"""Facts about single features, against NumPy over everything at once."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deeplocalize.recorder.feature_summary import MAX_ELEMENTS, MAX_NAMED, FeatureSummarizer
from deeplocalize.traces.header import FeatureSummary

RANDOM = np.random.default_rng(0)


def summed_up(x: NDArray[Any], n_batches: int = 4) -> FeatureSummary | None:
    summarizer = FeatureSummarizer()
    for batch in np.array_split(x, n_batches):
        summarizer.add(batch)
    return summarizer.summary()


@pytest.mark.parametrize("shape", [(60, 5), (60, 7, 5)])
def test_features_are_those_of_all_batches_together(shape: tuple[int, ...]) -> None:
    x = RANDOM.normal(3, [0.01, 1, 2, 50, 1e4], shape).astype(np.float32)
    columns = x.reshape(-1, 5).astype(np.float64)
    rms = np.sqrt(np.square(columns).mean(axis=0))
    found = summed_up(x)
    assert found is not None
    assert (found.n, found.n_rows, found.n_constant) == (5, len(columns), 0)
    assert found.largest == int(np.argmax(rms))
    assert found.median_rms == pytest.approx(np.median(rms))
    assert found.largest_rms == pytest.approx(rms.max())
    assert found.mean_variance == pytest.approx(columns.var(axis=0).mean())


def test_a_large_offset_costs_no_digits_of_the_variance() -> None:
    x = 1e7 + RANDOM.integers(0, 8, (64, 2)).astype(np.float64)
    found = summed_up(x)
    assert found is not None
    assert found.mean_variance == pytest.approx(x.var(axis=0).mean(), rel=1e-9)


def test_constant_features_are_counted_and_the_first_few_named() -> None:
    x = np.ones((40, 20), np.float32)
    x[:, 3] = RANDOM.normal(size=40)
    found = summed_up(x)
    assert found is not None
    assert found.n_constant == 19
    assert found.constant == tuple(i for i in range(20) if i != 3)[:MAX_NAMED]
    assert found.largest == 3


def test_values_that_are_not_finite_are_left_out() -> None:
    x = RANDOM.normal(size=(40, 3)).astype(np.float32)
    x[::7, 1] = np.nan
    x[1, 2] = np.inf
    found = summed_up(x)
    finite = np.where(np.isfinite(x), x, np.nan).astype(np.float64)
    assert found is not None
    assert found.mean_variance == pytest.approx(np.nanvar(finite, axis=0).mean())


def test_only_a_bounded_part_of_a_batch_is_looked_at() -> None:
    found = summed_up(np.ones((MAX_ELEMENTS, 2), np.float32), 1)
    assert found is not None
    assert found.n_rows == MAX_ELEMENTS // 2


@pytest.mark.parametrize("shape", [(), (8,), (8, 1), (8, 4, 4, 3)])
def test_images_and_single_columns_have_no_features_to_tell_apart(shape: tuple[int, ...]) -> None:
    summarizer = FeatureSummarizer()
    summarizer.add(np.ones(shape, np.float32))
    assert summarizer.summary() is None


def test_numbers_beyond_the_range_of_float64_raise_no_warning() -> None:
    with np.errstate(all="raise"):
        assert summed_up(np.array([[1e200, 1.0], [-1e200, 2.0]]), 1) is not None
