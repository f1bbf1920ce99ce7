from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bokeh.models import Column, Scatter
from bokeh.plotting import figure

from deeplocalize.traces import Kind, Trace, TraceLookupError, create_writer, open_trace
from deeplocalize.traces.plots import Plots
from deeplocalize.traces.plots.figure import ALONE
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


def dots_of(plot: Any) -> dict[str, list[int]]:
    """Iterations at which a figure shows dots, by the column that they stand for."""
    return {
        renderer.glyph.y.removesuffix(ALONE): np.flatnonzero(
            np.isfinite(renderer.data_source.data[renderer.glyph.y])
        ).tolist()
        for renderer in plot.renderers
        if isinstance(renderer.glyph, Scatter)
    }


def plots(run: FakeRun) -> Plots:
    return Plots(run.reader(), lambda iteration: iteration)


def test_a_lone_positive_point_is_seen_where_a_line_shows_nothing() -> None:
    run = FakeRun().zero(slice(0, 60), Kind.WEIGHT_GRADIENT, "fc2", "kernel")
    run.put(7, Kind.WEIGHT_GRADIENT, "fc2", "kernel", rms=1e-3, mean_abs=1e-3, min=-2e-3, max=2e-3)
    size, spread, _ = plots(run).series("fc2", "weight_gradient").children
    assert dots_of(size) == {"rms_high": [7], "mean_abs": [7], "magnitude": [7]}
    assert dots_of(spread) == {"min": [], "max": []}
    assert [len(item.renderers) for item in size.legend[0].items] == [2, 2, 2]


def test_iterations_between_which_none_was_recorded_are_seen() -> None:
    run = FakeRun().thin(lambda iteration: iteration % 20 == 0)
    for plot in plots(run).series("fc1", "weight_update").children:
        assert set(map(tuple, dots_of(plot).values())) == {(0, 20, 40)}


def test_every_plot_of_one_iteration_shows_it() -> None:
    for plot in plots(FakeRun(1)).losses().children:
        assert [0] in dots_of(plot).values()


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
