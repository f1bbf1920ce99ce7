"""The compiled kernel computes exactly what the NumPy definition says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from deeplocalize.recorder.kernel import COLUMNS, StepKernel
from deeplocalize.recorder.row_kernels import BLOCK
from deeplocalize.traces.statistics import statistics_row

from .rows import Row, assert_same, float32_arrays, row_of_bits


def row_of(
    x: NDArray[np.generic], minus: NDArray[np.generic] | None = None, has_units: bool = False
) -> Row:
    out = np.full((1, len(COLUMNS)), -7, np.int64)
    StepKernel([has_units])([x], [minus], out)
    return row_of_bits(out[0])


@given(float32_arrays, st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_float32_tensor_gives_the_defined_row(x: NDArray[np.float32], has_units: bool) -> None:
    assert_same(row_of(x, has_units=has_units), statistics_row(x, has_units))


@pytest.mark.parametrize(
    "dtype", ["float64", "float16", "int64", "int32", "uint8", "bool", "float32"]
)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (5000,), (33, 7), (4, 5, 3), (3, 5000)])
def test_every_dtype_and_shape_gives_the_defined_row(dtype: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x = np.maximum(rng.normal(size=shape) * 3, 0).astype(dtype)
    assert_same(row_of(x, has_units=True), statistics_row(x, True))


def test_units_that_are_zero_or_constant_throughout_are_counted() -> None:
    x = np.random.default_rng(1).normal(size=(300, 10)).astype(np.float32)
    x[:, 3] = 0
    x[::2, 3] = -0.0
    x[:, 7] = 2.5
    row = row_of(x, has_units=True)
    assert (row["n_zero_units"], row["n_constant_units"]) == (1, 2)


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.6, 0.99, 1])
@pytest.mark.parametrize("n_units", [1, 3, 10, 2000, 3000])
@pytest.mark.parametrize("n_blocks", [1, 2, 5, 9])
def test_units_are_told_apart_however_late_they_vary(
    share: float, n_units: int, n_blocks: int
) -> None:
    n = n_blocks * max(1, BLOCK // n_units)
    x = np.random.default_rng(0).normal(size=(n, n_units)).astype(np.float32)
    still = round(share * n)
    x[:still, -1] = 2.5
    x[:still, 0] = 0.0
    x[: still // 2, 0] = -0.0
    assert_same(row_of(x, has_units=True), statistics_row(x, True))


@pytest.mark.parametrize("n", [1, 2047, 2048, 2049, 10_000])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_single_nonfinite_value_is_counted_wherever_it_stands(n: int, bad: float) -> None:
    for at in {0, n // 2, n - 1}:
        x = np.ones(n, np.float32)
        x[at] = bad
        row = row_of(x)
        assert row["n_nan"] + row["n_posinf"] + row["n_neginf"] == 1
        assert_same(row, statistics_row(x))


@pytest.mark.parametrize("scale", [1e-42, 1e-30, 1e-12, 1e12, 1e30, 3e38])
def test_tiny_and_huge_float32_values_keep_their_rms(scale: float) -> None:
    x = np.full(5000, scale, np.float32)
    assert row_of(x)["rms"] == pytest.approx(float(np.float32(scale)), rel=1e-6)


def test_huge_float64_values_keep_their_rms() -> None:
    assert row_of(np.full(10, 1e300))["rms"] == pytest.approx(1e300)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_difference_is_taken_in_the_tensors_own_precision(dtype: str) -> None:
    rng = np.random.default_rng(2)
    after, before = (rng.normal(size=(123, 45)).astype(dtype) for _ in range(2))
    assert_same(row_of(after, before), statistics_row(after - before))


@pytest.mark.parametrize("n", [0, 1, 2048, 5000])
@pytest.mark.parametrize("bad", [1.0, np.nan, -np.inf])
def test_a_tensor_is_read_beside_what_it_is_subtracted_from(n: int, bad: float) -> None:
    rng = np.random.default_rng(4)
    before, after, later = (rng.normal(size=n).astype(np.float32) for _ in range(3))
    before[-1:] = bad
    tensors, minus = [before, after, after, later], [None, None, before, before]
    out = np.full((4, len(COLUMNS)), -7, np.int64)
    StepKernel([False] * 4)(tensors, minus, out)
    for row, x, subtracted in zip(out, tensors, minus, strict=True):
        assert_same(row_of_bits(row), statistics_row(x if subtracted is None else x - subtracted))


def test_arrays_that_are_not_contiguous_are_read_in_their_own_order() -> None:
    x = np.arange(24, dtype=np.float32).reshape(4, 6).T
    assert_same(row_of(x, has_units=True), statistics_row(x, True))
