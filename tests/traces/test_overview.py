from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from deeplocalize.traces.plots import overview as module
from deeplocalize.traces.plots.extremes import Extremes
from deeplocalize.traces.plots.overview import overview_of
from deeplocalize.traces.schema import Kind
from tests.analyzer.runs import FakeRun


def columns_of(iteration: NDArray[np.int64], first: int, width: int) -> NDArray[np.int64]:
    return (iteration - first) // width


@settings(max_examples=60, deadline=None)
@given(
    n_rows=st.integers(1, 300),
    max_columns=st.integers(1, 60),
    chunk_cells=st.integers(1, 4000),
    seed=st.integers(0, 9),
)
def test_columns_keep_what_a_brute_force_finds(
    n_rows: int, max_columns: int, chunk_cells: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    run = FakeRun(n_rows, seed=seed)
    statistics: dict[str, NDArray[Any]] = run.statistics
    statistics["n_nan"] = random.integers(0, 300, statistics["n"].shape) // 298
    statistics["rms"][random.random(statistics["rms"].shape) < 0.1] = np.nan
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK_CELLS", chunk_cells)
        overview = overview_of(run.reader(), max_columns=max_columns)
    assert overview.n_columns <= max_columns
    assert overview.stop >= n_rows
    column = columns_of(np.arange(n_rows), overview.first, overview.width)
    for c in range(overview.n_columns):
        rows = np.flatnonzero(column == c)
        np.testing.assert_array_equal(overview.n_nan[c], statistics["n_nan"][rows].max(axis=0))
        np.testing.assert_array_equal(overview.min[c], statistics["min"][rows].min(axis=0))
        np.testing.assert_array_equal(overview.max[c], statistics["max"][rows].max(axis=0))
        np.testing.assert_array_equal(
            overview.rms_high[c], np.fmax.reduce(statistics["rms"][rows], axis=0)
        )
        np.testing.assert_array_equal(
            overview.rms_low[c], np.fmin.reduce(statistics["rms"][rows], axis=0)
        )
        np.testing.assert_allclose(overview.mean_abs[c], statistics["mean_abs"][rows].mean(axis=0))
        share = (statistics["n_zero"] / statistics["n"])[rows].max(axis=0)
        np.testing.assert_array_equal(overview.zero_share[c], share)


@pytest.mark.parametrize("at", [0, 1, 4999, 2500, 9999])
@pytest.mark.parametrize("column", ["n_nan", "n_posinf", "n_neginf"])
def test_a_single_non_finite_element_is_never_lost(at: int, column: str) -> None:
    run = FakeRun(10_000)
    run.put(at, Kind.OUTPUT, "mid", None, **{column: 1.0})
    overview = overview_of(run.reader(), max_columns=7)
    series = run.index(Kind.OUTPUT, "mid")
    found = np.argwhere(overview.is_nonfinite)
    assert found.tolist() == [[at // overview.width, series]]


def test_one_iteration_s_peak_stays_visible() -> None:
    run = FakeRun(10_000).put(7777, Kind.WEIGHT_GRADIENT, "fc1", rms=1e9)
    overview = overview_of(run.reader(), max_columns=10)
    series = run.index(Kind.WEIGHT_GRADIENT, "fc1")
    assert overview.rms_high[7, series] == 1e9
    assert np.nanmax(np.delete(overview.rms_high[:, series], 7)) < 1


def test_a_part_of_a_trace_keeps_its_iterations() -> None:
    overview = overview_of(FakeRun(100).reader(), 40, 60, max_columns=5)
    assert (overview.first, overview.width, overview.stop) == (40, 4, 60)


def test_an_empty_trace_has_no_columns() -> None:
    assert overview_of(FakeRun(0).reader()).n_columns == 0


def test_what_was_not_recorded_is_blank() -> None:
    run = FakeRun(10)
    for name in ("min", "max", "mean_abs", "rms"):
        run.put(slice(0, 5), Kind.OUTPUT, "mid", None, **{name: np.nan})
    run.put(slice(0, 5), Kind.OUTPUT, "mid", n=-1)
    overview = overview_of(run.reader(), max_columns=2)
    series = run.index(Kind.OUTPUT, "mid")
    for values in (overview.rms_high, overview.mean_abs, overview.zero_share, overview.min):
        assert np.isnan(values[:, series]).tolist() == [True, False]


def test_extremes_of_a_curve_ignore_what_is_not_finite() -> None:
    values = np.array([1.0, 3.0, np.nan, 5.0, np.inf, np.nan])
    extremes = Extremes(0, 2, 3)
    extremes.add(np.arange(6), values)
    low, mean, high = extremes.values()
    np.testing.assert_array_equal(low, [1, 5, np.nan])
    np.testing.assert_array_equal(mean, [2, 5, np.nan])
    np.testing.assert_array_equal(high, [3, 5, np.nan])
    assert extremes.is_broken.tolist() == [False, True, True]


def test_extremes_are_the_same_however_the_iterations_are_cut() -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=1000)
    whole, parts = Extremes(5, 7, 120), Extremes(5, 7, 120)
    whole.add(np.arange(1000), values)
    for start in range(0, 1000, 64):
        parts.add(np.arange(start, min(start + 64, 1000)), values[start : start + 64])
    np.testing.assert_allclose(parts.values(), whole.values(), rtol=1e-12)
    expected = values[5 : 5 + 7 * 120].reshape(120, 7)
    np.testing.assert_allclose(whole.values()[1], expected.mean(axis=1))
    np.testing.assert_array_equal(whole.values()[2], expected.max(axis=1))


def test_a_curve_that_was_not_recorded_is_not_broken() -> None:
    extremes = Extremes(0, 2, 3)
    extremes.add(np.arange(6), np.full(6, np.nan))
    assert not extremes.is_broken.any()


def test_huge_losses_do_not_overflow_their_mean() -> None:
    extremes = Extremes(0, 2, 1)
    extremes.add(np.arange(2), np.array([1.7e308, 1.7e308]))
    assert np.isfinite(extremes.values()).all()


def test_only_plots_import_the_plotting_library() -> None:
    root = Path(__file__).parents[2]
    for folder in ("traces", "analyzer", "recorder"):
        for path in (root / folder).rglob("*.py"):
            if "bokeh" in path.read_text(encoding="utf-8"):
                assert path.parent.name in ("plots", "html"), path
