from collections.abc import Iterator
from pathlib import Path

import pytest
from bokeh.models import Column
from bokeh.plotting import figure

from deeplocalize.traces import Kind, Trace, TraceLookupError, create_writer, open_trace
from tests.analyzer.runs import FakeRun


@pytest.fixture
def trace(tmp_path: Path) -> Iterator[Trace]:
    run = FakeRun().put(22, Kind.OUTPUT, "mid", n_nan=5).breaks(22, Kind.OUTPUT, "mid")
    run.write(create_writer(tmp_path / "run.h5"))
    with open_trace(tmp_path / "run.h5") as opened:
        yield opened


def test_a_heat_map_has_a_row_per_series_and_marks_what_is_not_finite(trace: Trace) -> None:
    plot = trace.plot.heatmap("output")
    assert isinstance(plot, figure)
    cells = plot.select_one({"name": "cells"}) or plot.renderers[0].data_source
    assert cells.data["labels"] == [["fc1", "mid", "fc2"]]
    assert cells.data["image"][0].shape == (3, 60)
    # The image grows upwards: its last row is the first series.
    assert cells.data["n_nan"][0][1][22] == 5


def test_plots_of_a_part_begin_and_end_where_asked(trace: Trace) -> None:
    plot = trace.plot.heatmap("output", start=10, stop=30)
    assert (plot.x_range.start, plot.x_range.end) == (9.5, 29.5)


def test_a_series_is_drawn_with_size_range_and_zeros(trace: Trace) -> None:
    plot = trace.plot.series("fc1", "output")
    assert isinstance(plot, Column)
    assert len(plot.children) == 3
    assert len(trace.plot.series("fc1", "weight_update").children) == 4


def test_losses_come_with_metrics_and_learning_rate(trace: Trace) -> None:
    assert [child.title.text for child in trace.plot.losses().children] == [
        "Loss of each batch",
        "Metrics as the framework reports them",
        "Learning rate",
    ]


def test_what_is_not_there_is_named(trace: Trace) -> None:
    with pytest.raises(TraceLookupError, match="did you mean output"):
        trace.plot.heatmap("outputs")
    with pytest.raises(TraceLookupError, match="no iterations to plot"):
        trace.plot.losses(start=1000)


def test_a_trace_shows_itself_as_static_html(trace: Trace) -> None:
    html = trace._repr_html_()
    for text in ("60", "net (Sequential)", "completed", "fc1", "<svg"):
        assert text in html
    assert "<script" not in html
    assert repr(trace).startswith("<Trace ")


def test_names_in_a_trace_s_html_stay_text(tmp_path: Path) -> None:
    path = tmp_path / "<b>.h5"
    FakeRun().write(create_writer(path))
    with open_trace(path) as opened:
        assert "<b>" not in opened._repr_html_()
