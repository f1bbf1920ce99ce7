"""Loss, metrics and learning rate over the iterations."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d
from bokeh.plotting import figure
from numpy.typing import NDArray

from ..interface import TraceReader
from ..schema import Kind
from .extremes import CHUNK_ITERATIONS, Extremes
from .figure import (
    ALONE,
    DOT_PX,
    FAULT,
    LINE,
    PALETTE,
    SECOND,
    add_broken,
    alone,
    calm_legend,
    draw_line,
    empty_figure,
    value_range,
)
from .overview import Overview, Values

HEIGHT_PX = 250
SIDE_HEIGHT_PX = 190
# More decades than this between the losses, and only a logarithmic axis shows them.
_LOG_RATIO = 1000.0


@dataclass(frozen=True, eq=False)
class Curves:
    """Smallest, mean and largest value per column of an overview, arrays of shape (3, columns).

    ``reported`` is the loss as the framework reports it, often a running mean. ``is_broken``
    says whether a recorded loss was not finite.
    """

    left: NDArray[np.int64]
    width: int
    center: Values
    loss: Values
    reported: Values
    learning_rate: Values
    metrics: dict[str, Values]
    is_broken: NDArray[np.bool_]


def curves_of(reader: TraceReader, overview: Overview) -> Curves:
    """The curves of a run in the columns of an overview of it."""
    series = reader.header.series
    is_loss = [s.kind is Kind.LOSS for s in series]
    loss = Extremes(overview.first, overview.width, overview.n_columns)
    learning_rate = Extremes(overview.first, overview.width, overview.n_columns)
    for start in range(0, reader.n_iterations, CHUNK_ITERATIONS):
        table = reader.iterations(start, start + CHUNK_ITERATIONS)
        loss.add(table["iteration"], table["loss"])
        learning_rate.add(table["iteration"], table["learning_rate"])
    metrics = {
        one.tensor: np.array([overview.min[:, i], overview.mean_abs[:, i], overview.max[:, i]])
        for i, one in enumerate(series)
        if one.kind is Kind.METRIC
    }
    nothing = np.full((3, overview.n_columns), np.nan)
    return Curves(
        left=overview.left,
        width=overview.width,
        center=overview.center,
        loss=loss.values(),
        reported=metrics.pop("loss", nothing),
        learning_rate=learning_rate.values(),
        metrics=metrics,
        is_broken=loss.is_broken | overview.is_nonfinite[:, is_loss].any(axis=1),
    )


def loss_figures(
    curves: Curves, x_range: tuple[int, int], onsets: Sequence[int] = ()
) -> dict[str, figure]:
    """Figures by name that share their range of iterations: ``loss``, and where recorded
    ``metrics`` and ``learning_rate``.

    Parameters
    ----------
    onsets
        Iterations to draw a line at, the first one boldly.
    """
    shared = Range1d(x_range[0] - 0.5, x_range[1] - 0.5)
    figures = {"loss": _loss_figure(curves, shared)}
    if curves.metrics:
        figures["metrics"] = _metrics_figure(curves, shared)
    if np.isfinite(curves.learning_rate).any():
        figures["learning_rate"] = _rate_figure(curves, shared)
    for plot in figures.values():
        plot.vspan(x=list(onsets[1:]), line_color=SECOND, line_width=1, line_dash="4 3")
        plot.vspan(x=list(onsets[:1]), line_color=FAULT, line_width=1.5, line_dash="4 3")
    return figures


def _loss_figure(curves: Curves, shared: Range1d) -> figure:
    low, mean, high = curves.loss
    smallest, largest = np.nanmin(low, initial=np.inf), np.nanmax(high, initial=-np.inf)
    is_log = smallest > 0 and largest > _LOG_RATIO * smallest
    title = "Loss of each batch" if np.isfinite(smallest) else "Loss: no finite one was recorded"
    plot = empty_figure(title, HEIGHT_PX, x_range=shared, y_axis_type="log" if is_log else "linear")
    source = ColumnDataSource(
        {
            "x": curves.center,
            "low": low,
            "mean": mean,
            "mean" + ALONE: alone(mean),
            "high": high,
            "reported": curves.reported[1],
            "reported" + ALONE: alone(curves.reported[1]),
            "broken_left": np.where(curves.is_broken, curves.left - 0.5, np.nan),
            "broken_right": np.where(curves.is_broken, curves.left + curves.width - 0.5, np.nan),
        }
    )
    plot.varea("x", "low", "high", source=source, fill_color=LINE, fill_alpha=0.25)
    line = draw_line(plot, "x", "mean", source, LINE, line_width=1.5, legend_label="this batch")
    if np.isfinite(curves.reported).any():
        draw_line(plot, "x", "reported", source, SECOND, line_width=1.5, legend_label="as reported")
    add_broken(plot, source)
    plot.y_range = value_range(np.array([curves.loss, curves.reported]), is_log)
    plot.add_tools(
        HoverTool(
            renderers=[line],
            mode="vline",
            line_policy="nearest",
            tooltips=[("iteration", "@x{0}"), ("loss", "@mean (@low to @high)")],
        )
    )
    calm_legend(plot)
    return plot


def _metrics_figure(curves: Curves, shared: Range1d) -> figure:
    plot = empty_figure("Metrics as the framework reports them", SIDE_HEIGHT_PX, x_range=shared)
    for place, (name, (low, _, high)) in enumerate(curves.metrics.items()):
        color = PALETTE[place % len(PALETTE)]
        columns = {"x": curves.center, "low": low, "high": high, "high" + ALONE: alone(high)}
        source = ColumnDataSource(columns)
        line = draw_line(plot, "x", "high", source, color, line_width=1.5, legend_label=" ")
        plot.varea("x", "low", "high", source=source, fill_color=color, fill_alpha=0.25)
        plot.legend.items[-1].label = {"value": name}
        plot.add_tools(
            HoverTool(
                renderers=[line],
                mode="vline",
                line_policy="nearest",
                tooltips=[("iteration", "@x{0}"), ("value", "@low to @high")],
            )
        )
    calm_legend(plot)
    return plot


def _rate_figure(curves: Curves, shared: Range1d) -> figure:
    plot = empty_figure("Learning rate", SIDE_HEIGHT_PX, x_range=shared)
    rate = curves.learning_rate[2]
    source = ColumnDataSource({"x": curves.center, "rate": rate, "rate" + ALONE: alone(rate)})
    plot.step("x", "rate", source=source, mode="center", line_color=LINE, line_width=1.5)
    plot.scatter("x", "rate" + ALONE, source=source, size=DOT_PX, color=LINE)
    plot.y_range = value_range(np.append(rate, 0.0), is_log=False)
    return plot
