"""Series x iterations as an image: colour is the logarithm of the rms, red is non-finite."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from bokeh.models import (
    ColorBar,
    ColumnDataSource,
    CustomJSHover,
    FixedTicker,
    HoverTool,
    LinearColorMapper,
    LogColorMapper,
    Range1d,
)
from bokeh.palettes import Viridis256
from bokeh.plotting import figure

from .figure import FAULT, FONT, INK, empty_figure, plain
from .overview import Overview

ROW_PX = 22
MIN_PX, MAX_PX = 190, 560
_FRAME_PX, _LABEL_PX = 96, 13

_ROW = "return source.data.labels[0][Math.max(0, Math.ceil(-special_vars.y - 0.5))] ?? ''"
_SPAN = """
const [first] = source.data.first, [width] = source.data.width
const left = first + Math.floor((special_vars.x - first + 0.5) / width) * width
return width == 1 ? `${left}` : `${left} to ${left + width - 1}`
"""


@dataclass(frozen=True)
class Mark:
    """A spot to point at: an iteration and the place of a series among the rows."""

    iteration: int
    row: int


def heatmap(
    overview: Overview,
    series: Sequence[int],
    labels: Sequence[str],
    title: str,
    mark: Mark | None = None,
) -> figure:
    """The series of an overview, the first one on top.

    Parameters
    ----------
    series
        Which of the overview's series, in the order of the rows.
    labels
        What to call them.
    mark
        What to point at, if anything.
    """
    index = np.array(series, dtype=np.intp)
    image = overview.rms_high[:, index].T
    low, high = color_range(image)
    plot = empty_figure(
        title,
        height_px(len(index)),
        x_range=Range1d(overview.first - 0.5, overview.stop - 0.5),
        y_range=Range1d(-len(index) + 0.5, 0.5),
    )
    source = ColumnDataSource(
        {
            "image": [image[::-1].astype(np.float32)],
            "n_nan": [overview.n_nan[:, index].T[::-1].astype(np.float32)],
            "n_inf": [overview.n_inf[:, index].T[::-1].astype(np.float32)],
            "broken": [
                np.where(overview.is_nonfinite[:, index].T[::-1], 1, np.nan).astype(np.float32)
            ],
            "labels": [list(labels)],
            "x": [overview.first - 0.5],
            "y": [-len(index) + 0.5],
            "dw": [overview.stop - overview.first],
            "dh": [len(index)],
            "first": [overview.first],
            "width": [overview.width],
        },
        name="cells",
    )
    place = {"x": "x", "y": "y", "dw": "dw", "dh": "dh"}
    mapper = LogColorMapper(Viridis256, low=low, high=high, nan_color="rgba(0,0,0,0)")
    cells = plot.image(image="image", source=source, color_mapper=mapper, **place)
    plot.image(
        image="broken",
        source=source,
        color_mapper=LinearColorMapper([FAULT, FAULT], low=0, high=2, nan_color="rgba(0,0,0,0)"),
        **place,
    )
    plot.add_tools(_hover(source, cells))
    _add_mark(plot, mark, overview)
    plot.add_layout(_color_bar(mapper), "right")
    plot.ygrid.grid_line_color = None
    shown = range(0, len(index), -(-len(index) * _LABEL_PX // (plot.height - _FRAME_PX)))
    plot.yaxis.ticker = FixedTicker(ticks=[-i for i in shown])
    plot.yaxis.major_label_overrides = {-i: plain(labels[i]) for i in shown}
    plot.yaxis.major_tick_line_color = None
    return plot


def color_range(image: "np.ndarray[Any, np.dtype[np.float64]]") -> tuple[float, float]:
    """From the smallest to the largest positive finite value, at most 12 decades."""
    positive = image[np.isfinite(image) & (image > 0)]
    if not positive.size:
        return 1e-3, 1.0
    high = float(positive.max())
    return max(float(positive.min()), high * 1e-12) * 0.999, high * 1.001


def height_px(n_rows: int) -> int:
    """How tall a heat map of so many rows is."""
    return min(max(n_rows * ROW_PX + _FRAME_PX, MIN_PX), MAX_PX)


def _hover(source: ColumnDataSource, cells: Any) -> HoverTool:
    row = CustomJSHover(args={"source": source}, code=_ROW)
    span = CustomJSHover(args={"source": source}, code=_SPAN)
    return HoverTool(
        renderers=[cells],
        tooltips=[
            ("tensor", "$y{custom}"),
            ("iterations", "$x{custom}"),
            ("rms", "@image{0.000e+0}"),
            ("NaN elements", "@n_nan"),
            ("infinite elements", "@n_inf"),
        ],
        formatters={"$y": row, "$x": span},
    )


def _add_mark(plot: figure, mark: Mark | None, overview: Overview) -> None:
    """A line through the iteration and a ring around the spot, both movable by name."""
    x = [] if mark is None else [(mark.iteration - overview.first) // overview.width]
    center = [overview.center[column] for column in x]
    rows = [] if mark is None else [-mark.row]
    line = ColumnDataSource({"x": center}, name="mark_line")
    spot = ColumnDataSource({"x": center, "y": rows}, name="mark_spot")
    plot.vspan(x="x", source=line, line_color=FAULT, line_width=1.5, line_dash="4 3")
    plot.scatter(
        x="x", y="y", source=spot, size=15, marker="circle",
        fill_color=None, line_color="white", line_width=5,
    )  # fmt: skip
    plot.scatter(
        x="x", y="y", source=spot, size=15, marker="circle",
        fill_color=None, line_color=FAULT, line_width=2.5,
    )  # fmt: skip


def _color_bar(mapper: LogColorMapper) -> ColorBar:
    return ColorBar(
        color_mapper=mapper,
        title="rms",
        width=8,
        padding=4,
        background_fill_alpha=0,
        title_text_color=INK,
        title_text_font=FONT,
        title_text_font_size="11px",
        title_text_font_style="normal",
        major_label_text_color=INK,
        major_label_text_font=FONT,
        major_label_text_font_size="10px",
        major_tick_line_color=INK,
        border_line_color=None,
    )
