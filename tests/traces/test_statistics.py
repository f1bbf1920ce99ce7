"""The statistics of an array against rows computed by hand."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deeplocalize.traces.statistics import checksum, statistics_row

NAN, INF = math.nan, math.inf


def test_counts_and_moments_are_over_what_they_say() -> None:
    row = statistics_row(np.array([3.0, -4.0, 0.0, NAN, INF, INF, -INF], np.float32))
    checksum_of_bits = row.pop("checksum")
    assert row == {
        "n": 7,
        "n_nan": 1,
        "n_posinf": 2,
        "n_neginf": 1,
        "n_zero": 1,
        "n_zero_units": -1,
        "n_constant_units": -1,
        "min": -4.0,
        "max": 3.0,
        "mean": pytest.approx(-1 / 3),
        "mean_abs": pytest.approx(7 / 3),
        "rms": pytest.approx(math.sqrt(25 / 3)),
    }
    assert checksum_of_bits != 0


@pytest.mark.parametrize("values", [np.array([]), np.array([NAN, INF]), np.zeros((2, 0))])
def test_without_a_finite_value_there_are_no_moments(values: NDArray[Any]) -> None:
    row = statistics_row(values)
    assert all(math.isnan(row[name]) for name in ("min", "max", "mean", "mean_abs", "rms"))


def test_the_root_mean_square_neither_overflows_nor_underflows() -> None:
    assert statistics_row(np.array([3e300, 4e300]))["rms"] == pytest.approx(5e300 / math.sqrt(2))
    assert statistics_row(np.array([3e-300, 4e-300]))["rms"] == pytest.approx(5e-300 / math.sqrt(2))
    assert statistics_row(np.zeros(3))["rms"] == 0.0


def test_units_are_counted_along_the_last_axis() -> None:
    batch = np.array([[0, 1, 2, 0, NAN], [0, 1, 3, 0, NAN], [-0.0, 1, 2, 1, NAN]], np.float32)
    row = statistics_row(batch, has_units=True)
    assert (row["n_zero_units"], row["n_constant_units"]) == (1, 3)


@pytest.mark.parametrize("shape", [(), (4,), (0, 3)])
def test_tensors_without_a_batch_have_no_units(shape: tuple[int, ...]) -> None:
    row = statistics_row(np.zeros(shape), has_units=True)
    assert (row["n_zero_units"], row["n_constant_units"]) == (-1, -1)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "float16", "float32"])
def test_every_real_dtype_has_statistics(dtype: str) -> None:
    row = statistics_row(np.array([0, 1, 1, 0], dtype))
    assert (row["n"], row["n_zero"], row["min"], row["max"], row["mean"]) == (4, 2, 0, 1, 0.5)


def test_the_checksum_is_the_sum_of_the_words_and_of_their_squares() -> None:
    one, two = 0x3F800000, 0x40000000
    low = (one + two) % 2**32
    high = (one**2 + two**2) % 2**32
    assert checksum(np.array([1.0, 2.0], np.float32)) == high << 32 | low
    assert checksum(np.array([], np.float32)) == 0


def test_the_checksum_does_not_depend_on_the_order() -> None:
    values = np.random.default_rng(0).normal(size=(20, 30))
    assert checksum(values) == checksum(values.T) == checksum(np.sort(values.ravel()))


def test_the_checksum_sees_the_smallest_change() -> None:
    values = np.ones(1000, np.float32)
    changed = values.copy()
    changed[500] = np.nextafter(np.float32(1), np.float32(2))
    assert checksum(values) != checksum(changed)
