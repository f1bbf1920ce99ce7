"""What all plots share: an empty figure over iterations, calm, and as wide as its surroundings."""

from typing import Any

import numpy as np
from bokeh.models import (
    BoxZoomTool,
    ColumnDataSource,
    GlyphRenderer,
    PanTool,
    PlainText,
    Range1d,
    ResetTool,
    WheelZoomTool,
)
from bokeh.plotting import figure
from numpy.typing import NDArray

FONT = "system-ui, sans-serif"
INK = "#5b6472"
LINE = "#3b6fd4"
SECOND = "#c2761b"
FAULT = "#e5344a"
# So few that they fit beside each other on a phone.
N_TICKS = 4
# What is added to the name of a column for its points that stand alone.
ALONE = "_alone"
DOT_PX = 5
PALETTE = ("#3b6fd4", "#c2761b", "#2e9e6b", "#8f5bd0", "#b0456f", "#4b8f9e")


def empty_figure(title: str, height: int, **options: Any) -> figure:
    """A figure over iterations, without any glyph.

    The colours suit light and dark surroundings; the background is whatever lies behind.
    """
    pan, box = PanTool(dimensions="width"), BoxZoomTool(dimensions="width")
    # Zooming with the wheel is off at first, so that the page around a plot scrolls.
    tools = [pan, box, WheelZoomTool(dimensions="width"), ResetTool()]
    plot = figure(
        title=title,
        height=height,
        sizing_mode="stretch_width",
        tools=tools,
        active_drag=box,
        active_scroll=None,
        toolbar_location="above",
        output_backend="canvas",
        **options,
    )
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    plot.background_fill_alpha = 0
    plot.border_fill_alpha = 0
    plot.outline_line_color = None
    plot.grid.grid_line_color = INK
    plot.grid.grid_line_alpha = 0.2
    plot.xgrid.grid_line_color = None
    plot.title.text_font = FONT
    plot.title.text_font_size = "13px"
    plot.title.text_color = INK
    for axis in plot.axis:
        axis.axis_line_color = INK
        axis.major_tick_line_color = INK
        axis.minor_tick_line_color = None
        axis.major_label_text_color = INK
        axis.major_label_text_font = FONT
        axis.major_label_text_font_size = "11px"
        axis.axis_label_text_color = INK
        axis.axis_label_text_font = FONT
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = "11px"
    plot.xaxis.axis_label = "iteration"
    plot.xaxis.formatter.use_scientific = False
    for axis in plot.axis:
        axis.ticker.desired_num_ticks = N_TICKS
    return plot


def calm_legend(plot: figure) -> None:
    """Put the legend above the plot, where it hides nothing."""
    for legend in plot.legend:
        legend.orientation = "horizontal"
        legend.background_fill_alpha = 0
        legend.border_line_color = None
        legend.label_text_color = INK
        legend.label_text_font = FONT
        legend.label_text_font_size = "11px"
        legend.padding = legend.margin = 0
        legend.spacing = 12
        legend.click_policy = "hide"
        plot.add_layout(legend, "above")


def value_range(values: NDArray[np.float64], is_log: bool) -> Range1d:
    """From the smallest to the largest finite value with a margin, also if there is none."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return Range1d(0.0, 1.0)
    low, high = float(finite.min()), float(finite.max())
    if is_log:
        factor = (high / low) ** 0.05
        return Range1d(low / factor, high * factor)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return Range1d(low - margin, high + margin)


def draw_line(
    plot: figure, x: str, y: str, source: ColumnDataSource, color: str, **options: Any
) -> GlyphRenderer:
    """A line through a column of the source, with dots where a point has no neighbour to join.

    The source needs the column that `alone` makes of it as well, called ``y + ALONE``. The legend
    shows and hides both.
    """
    line = plot.line(x, y, source=source, line_color=color, **options)
    dots = plot.scatter(x, y + ALONE, source=source, size=DOT_PX, color=color)
    if "legend_label" in options:
        plot.legend.items[-1].renderers.append(dots)
    return line


def alone(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The finite values without a finite neighbour, of which a line shows nothing; NaN elsewhere.

    Zeros on a logarithmic axis, and iterations that a schedule leaves out, make such gaps.
    """
    is_finite = np.isfinite(values)
    has_neighbor = np.zeros(len(values), np.bool_)
    has_neighbor[1:] |= is_finite[:-1]
    has_neighbor[:-1] |= is_finite[1:]
    return np.where(is_finite & ~has_neighbor, values, np.nan)


def add_broken(plot: figure, source: ColumnDataSource) -> None:
    """Paint red, behind the curves, the columns of pixels that hold something non-finite.

    ``broken_left`` and ``broken_right`` of the source bound them; NaN elsewhere. The outline
    keeps a single one visible among many thousands.
    """
    plot.vstrip(
        x0="broken_left", x1="broken_right", source=source, level="underlay",
        fill_color=FAULT, fill_alpha=0.2, line_color=FAULT, line_alpha=0.2, line_width=1.5,
    )  # fmt: skip


def plain(text: str) -> PlainText:
    """Text from a trace as it stands: the library would read ``$$`` as a formula."""
    return PlainText(text=text)
