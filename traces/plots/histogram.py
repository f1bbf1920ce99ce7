"""Powers of two x iterations as an image: colour is the share of the tensor's elements."""

from collections.abc import Sequence

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, LogColorMapper
from bokeh.palettes import Viridis256
from bokeh.plotting import figure

from ..histogram import Histogram
from .figure import empty_figure, plain
from .overview import MAX_COLUMNS

HEIGHT_PX = 300


def histogram_figure(histograms: Sequence[Histogram], title: str) -> figure:
    """The histograms of one series, signs joined; of very many, evenly spread ones are drawn."""
    step = -(-len(histograms) // MAX_COLUMNS)
    shown = histograms[::step]
    rows = [
        (i, one.iteration, one.first_exponent + k, positive + negative, one.n)
        for i, one in enumerate(shown)
        for k, (positive, negative) in enumerate(zip(one.positive, one.negative, strict=True))
        if positive + negative
    ]
    place, iteration, exponent, count, n = (
        np.array(column) for column in (zip(*rows, strict=True) if rows else [()] * 5)
    )
    edges = np.array([one.iteration for one in shown] + [shown[-1].iteration + 1], np.float64) - 0.5
    source = ColumnDataSource(
        {
            "left": edges[place.astype(np.intp)],
            "right": edges[place.astype(np.intp) + 1],
            "low": exponent - 1.0 if len(exponent) else exponent,
            "high": exponent,
            "iteration": iteration,
            "count": count,
            "share": count / np.maximum(n, 1) if len(n) else n,
        }
    )
    plot = empty_figure("", HEIGHT_PX)
    plot.title.text = plain(title)
    plot.yaxis.axis_label = "log2 |x|"
    mapper = LogColorMapper(Viridis256, low=1e-4, high=1.0)
    plot.quad(
        left="left", right="right", bottom="low", top="high", source=source,
        fill_color={"field": "share", "transform": mapper}, line_color=None,
    )  # fmt: skip
    plot.add_tools(
        HoverTool(
            tooltips=[
                ("iteration", "@iteration"),
                ("|x|", "2^@low to 2^@high"),
                ("elements", "@count (@share{0.0%})"),
            ]
        )
    )
    return plot
