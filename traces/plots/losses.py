"""Loss, metrics and learning rate over the iterations."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d
from bokeh.plotting import figure

from ..interface import TraceReader
from ..schema import Kind
from .figure import FAULT, LINE, PALETTE, SECOND, calm_legend, empty_figure
from .overview import Overview, Values, column_extremes

HEIGHT_PX = 250
SIDE_HEIGHT_PX = 190
# More decades than this between the losses, and only a logarithmic axis shows them.
_LOG_RATIO = 1000.0


@dataclass(frozen=True, eq=False)
class Curves:
    """Smallest, mean and largest value per column of an overview, arrays of shape (3, columns).

    ``broken`` is the column's centre where a loss was non-finite, though finite ones are
    recorded; else NaN.
    """

    center: Values
    loss: Values
    learning_rate: Values
    metrics: dict[str, Values]
    broken: Values


def curves_of(reader: TraceReader, overview: Overview) -> Curves:
    """The curves of a run in the columns of an overview of it."""
    table = reader.iterations()
    iteration, loss = table["iteration"], table["loss"]
    series = reader.header.series
    metrics = {
        one.tensor: np.array([overview.min[:, i], overview.mean_abs[:, i], overview.max[:, i]])
        for i, one in enumerate(series)
        if one.kind is Kind.METRIC
    }
    broken = np.full(overview.n_columns, np.nan)
    if np.isfinite(loss).any():
        lost = iteration[~np.isfinite(loss)]
        column = (lost[(lost >= overview.first) & (lost < overview.stop)] - overview.first) // (
            overview.width
        )
        broken[column] = overview.center[column]
    for i, one in enumerate(series):
        if one.kind is Kind.LOSS:
            is_broken = overview.is_nonfinite[:, i]
            broken[is_broken] = overview.center[is_broken]
    return Curves(
        center=overview.center,
        loss=column_extremes(iteration, loss, overview),
        learning_rate=column_extremes(iteration, table["learning_rate"], overview),
        metrics=metrics,
        broken=broken,
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
    is_log = bool(
        np.nanmin(low, initial=np.inf) > 0
        and np.nanmax(high, initial=0.0) > _LOG_RATIO * np.nanmin(low, initial=np.inf)
    )
    plot = empty_figure(
        "Loss of each batch", HEIGHT_PX, x_range=shared, y_axis_type="log" if is_log else "linear"
    )
    source = ColumnDataSource(
        {"x": curves.center, "low": low, "mean": mean, "high": high, "broken": curves.broken}
    )
    plot.varea("x", "low", "high", source=source, fill_color=LINE, fill_alpha=0.25)
    line = plot.line("x", "mean", source=source, line_color=LINE, line_width=1.5)
    plot.vspan(x="broken", source=source, line_color=FAULT, line_width=2, line_alpha=0.4)
    # A loss that is finite only once draws no line.
    if np.isfinite(mean).sum() < 3:
        plot.scatter("x", "mean", source=source, color=LINE, size=5)
    plot.add_tools(
        HoverTool(
            renderers=[line],
            mode="vline",
            line_policy="nearest",
            tooltips=[("iteration", "@x{0}"), ("loss", "@mean (@low to @high)")],
        )
    )
    return plot


def _metrics_figure(curves: Curves, shared: Range1d) -> figure:
    plot = empty_figure("Metrics as the framework reports them", SIDE_HEIGHT_PX, x_range=shared)
    for place, (name, (low, _, high)) in enumerate(curves.metrics.items()):
        color = PALETTE[place % len(PALETTE)]
        source = ColumnDataSource({"x": curves.center, "low": low, "high": high})
        line = plot.line(
            "x", "high", source=source, line_color=color, line_width=1.5, legend_label=" "
        )
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
    source = ColumnDataSource({"x": curves.center, "rate": curves.learning_rate[2]})
    plot.step("x", "rate", source=source, mode="center", line_color=LINE, line_width=1.5)
    return plot
