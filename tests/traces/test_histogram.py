"""Histograms as a person meets them."""

from pathlib import Path

import numpy as np
import pytest

from deeplocalize.traces import Histogram, TraceLookupError, create_writer, open_trace
from deeplocalize.traces.histogram import bins

from .build import header


def test_bins_go_from_the_lowest_values_to_the_highest() -> None:
    found = bins(Histogram(3, 0, -1, (4, 0), (0, 2), n_zero=7, n_nan=1, n_neginf=5))
    assert [one.n for one in found] == [5, 4, 7, 2, 1]
    assert [one.low for one in found[:4]] == [-np.inf, -0.5, 0, 0.5]
    assert [one.high for one in found[:4]] == [-np.inf, -0.25, 0, 1]
    assert [one.sign for one in found[:4]] == [-1, -1, 0, 1]
    assert found[1].exponent == -1
    assert np.isnan(found[-1].low)


def test_the_largest_bin_of_float64_has_no_upper_bound() -> None:
    assert [one.high for one in bins(Histogram(0, 0, 1024, (0,), (1,)))] == [np.inf]


def test_a_trace_gives_histograms_by_name(path: Path) -> None:
    writer = create_writer(path)
    writer.write_header(header(2))
    writer.append_histograms([Histogram(i, i % 2, 0, (0,), (i + 1,)) for i in range(6)])
    writer.close()
    with open_trace(path) as trace:
        frame = trace.histogram("fc", "weight", "w1", start=1, stop=5)
        assert frame["iteration"].tolist() == [1, 3]
        assert frame["n"].tolist() == [2, 4]
        assert set(frame["layer"]) == {"fc"} and set(frame["tensor"]) == {"w1"}
        assert len(trace.histogram()) == 6
        assert len(trace.plot.histogram("fc", tensor="w1").renderers) == 1
        with pytest.raises(TraceLookupError, match="no layer"):
            trace.histogram("conv")


def test_a_trace_without_histograms_gives_an_empty_table(path: Path) -> None:
    writer = create_writer(path)
    writer.write_header(header(2))
    writer.close()
    with open_trace(path) as trace:
        assert trace.histogram().empty
        assert "exponent" in trace.histogram()
        with pytest.raises(TraceLookupError, match="histograms="):
            trace.plot.histogram("fc")
