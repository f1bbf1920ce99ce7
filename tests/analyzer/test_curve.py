from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplocalize.analyzer.curve import (
    EMPTY,
    MAX_BUCKETS,
    Curve,
    gather_curve,
    head,
    merge_curves,
    tail,
)


def same(a: Curve, b: Curve) -> bool:
    return (a.width, a.first) == (b.width, b.first) and all(
        np.array_equal(x, y)
        for x, y in ((a.n, b.n), (a.total, b.total), (a.total_squares, b.total_squares))
    )


@given(
    st.lists(st.integers(1, 400), max_size=40),
    st.lists(st.integers(0, 40), max_size=4),
    st.integers(0, 1000),
)
def test_any_chunking_gives_the_same_curve(steps: list[int], cuts: list[int], first: int) -> None:
    iteration = first + np.cumsum(np.array(steps, dtype=np.int64))
    # Whole numbers, so that sums are exact in any order.
    values = (iteration % 7).astype(float)
    edges = [0, *sorted(min(cut, len(steps)) for cut in cuts), len(steps)]
    chunks = [gather_curve(iteration[a:b], values[a:b]) for a, b in pairwise(edges)]
    assert same(reduce(merge_curves, chunks, EMPTY), gather_curve(iteration, values))


def test_a_long_run_keeps_a_bounded_number_of_buckets() -> None:
    curve = gather_curve(np.arange(100_000), np.ones(100_000))
    assert len(curve.n) <= MAX_BUCKETS
    assert curve.n_values == 100_000


def test_values_that_are_not_finite_are_left_out() -> None:
    curve = gather_curve(np.arange(4), np.array([1.0, np.nan, np.inf, 3.0]))
    assert (curve.n_values, curve.total.sum()) == (2, 4.0)


def test_head_and_tail_are_the_means_of_the_two_ends() -> None:
    curve = gather_curve(np.arange(100), np.arange(100.0))
    assert head(curve, 0.1).mean == pytest.approx(4.5)
    assert tail(curve, 0.1).mean == pytest.approx(94.5)
    assert head(curve, 0.1).standard_error == pytest.approx(np.std(np.arange(10)) / np.sqrt(10))
