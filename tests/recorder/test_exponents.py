"""The compiled histogram counts what `numpy.frexp` says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from numpy.typing import NDArray

from deeplocalize.recorder import LoopRecorder
from deeplocalize.recorder.exponents import histogram_of, histograms_of
from deeplocalize.traces import Histogram, open_trace


def counted(values: NDArray[Any]) -> Histogram:
    """The histogram of a tensor, by definition."""
    x = np.asarray(values, np.float64).reshape(-1)
    used = x[np.isfinite(x) & (x != 0)]
    exponents = np.frexp(used)[1]
    first = int(exponents.min()) if used.size else 0
    n_bins = int(exponents.max()) - first + 1 if used.size else 0
    sides = [
        tuple(np.bincount(exponents[side] - first, minlength=n_bins).tolist())
        for side in (used < 0, used > 0)
    ]
    n_zero, n_nan = int((x == 0).sum()), int(np.isnan(x).sum())
    n_posinf, n_neginf = int(np.isposinf(x).sum()), int(np.isneginf(x).sum())
    return Histogram(5, 2, first, sides[0], sides[1], n_zero, n_nan, n_posinf, n_neginf)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["float16", "float32", "float64", "int8", "int64", "bool"]).flatmap(
        lambda dtype: st_numpy.arrays(dtype, st_numpy.array_shapes(min_dims=0, min_side=0))
    )
)
def test_any_tensor_is_counted_as_frexp_says(values: NDArray[Any]) -> None:
    assert histogram_of(5, 2, values) == counted(values)
    assert histogram_of(5, 2, values).n == values.size


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_subnormal_and_extreme_values_have_their_exponents(dtype: str) -> None:
    facts = np.finfo(np.dtype(dtype))
    smallest, tiny, largest = facts.smallest_subnormal, facts.tiny, facts.max
    values = np.array([smallest, -smallest, tiny, tiny / 2, largest, -largest, 1], dtype)
    assert histogram_of(5, 2, values) == counted(values)


def test_long_and_strided_tensors_are_counted_whole() -> None:
    values = np.random.default_rng(0).normal(size=(300, 40)).astype(np.float32)
    for one in (values, values.T, values[::3, ::2]):
        assert histogram_of(5, 2, one) == counted(one)


def test_of_updates_the_difference_is_counted() -> None:
    after, before = np.array([1.5, 2, 3], np.float32), np.array([1, 2, 7], np.float32)
    first, second = histograms_of(5, [2, 2], [after, after], [before, None])
    assert first == counted(after - before)
    assert second == counted(after)


@pytest.mark.parametrize("suffix", ["h5", "parquet"])
def test_histograms_are_recorded_where_asked_for(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"run.{suffix}"
    values = np.array([[0.3, -4, 0], [np.nan, 1e-30, 5]])
    recorder = LoopRecorder(path, ["fc"], histograms=lambda iteration: iteration % 2 == 0)
    with recorder:
        for _ in range(5):
            recorder.begin_iteration()
            recorder.tap("output", values, "fc")
            recorder.tap("loss", 1.0)
            recorder.end_iteration()
    with open_trace(path) as trace:
        frame = trace.histogram("fc", "output")
        assert sorted(set(frame["iteration"])) == [0, 2, 4]
        assert frame["n"].sum() == 3 * values.size
        expected = counted(values)
        found = next(iter(trace.reader.histograms()))
        assert (found.positive, found.negative) == (expected.positive, expected.negative)
        assert trace.header.schedule["histograms"] == "<lambda>"
