"""One series over the iterations: its size, its range, its zeros, its update ratio."""

from dataclasses import dataclass, fields

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d
from bokeh.plotting import figure

from ..header import Header
from ..schema import Kind
from .figure import ALONE, LINE, SECOND, add_broken, alone, calm_legend, draw_line, empty_figure
from .overview import Overview, Values

HEIGHT_PX = 210


@dataclass(frozen=True, eq=False)
class Bands:
    """What the plots of one series draw, arrays of shape (columns,); NaN leaves a gap.

    ``broken_left`` and ``broken_right`` bound the columns with something non-finite. ``ratio``
    is the rms of the update relative to that of the weight, NaN for other kinds.
    """

    left: Values
    center: Values
    rms_low: Values
    rms_high: Values
    mean_abs: Values
    magnitude: Values
    min: Values
    max: Values
    zero_share: Values
    ratio: Values
    n_nan: Values
    n_inf: Values
    broken_left: Values
    broken_right: Values


COLUMNS = tuple(field.name for field in fields(Bands))

# Those that are drawn as lines.
LINES = ("rms_high", "mean_abs", "magnitude", "min", "max", "zero_share", "ratio")


def bands_of(overview: Overview, header: Header, series: int) -> Bands:
    """The bands of one of the header's series."""
    is_broken = overview.is_nonfinite[:, series]
    return Bands(
        left=overview.left.astype(np.float64),
        center=overview.center,
        rms_low=positive(overview.rms_low[:, series]),
        rms_high=positive(overview.rms_high[:, series]),
        mean_abs=positive(overview.mean_abs[:, series]),
        magnitude=positive(overview.magnitude[:, series]),
        min=overview.min[:, series],
        max=overview.max[:, series],
        zero_share=overview.zero_share[:, series],
        ratio=_ratio(overview, header, series),
        n_nan=overview.n_nan[:, series],
        n_inf=overview.n_inf[:, series],
        broken_left=np.where(is_broken, overview.left - 0.5, np.nan),
        broken_right=np.where(is_broken, overview.left + overview.width - 0.5, np.nan),
    )


def weight_of(header: Header, series: int) -> int | None:
    """The weight that a series is the update of; None for all that are no updates."""
    update = header.series[series]
    if update.kind is not Kind.WEIGHT_UPDATE:
        return None
    wanted = (Kind.WEIGHT, update.layer, update.tensor)
    return next(
        (i for i, s in enumerate(header.series) if (s.kind, s.layer, s.tensor) == wanted), None
    )


def series_figures(bands: Bands, x_range: tuple[int, int]) -> dict[str, figure]:
    """Figures by name that share their source and their range of iterations.

    ``size`` (logarithmic: rms band, mean magnitude, largest magnitude), ``range`` (smallest to
    largest element), ``zeros`` (share of zero elements) and ``ratio`` (update to weight).
    """
    columns = {name: getattr(bands, name) for name in COLUMNS}
    columns |= {name + ALONE: alone(columns[name]) for name in LINES}
    source = ColumnDataSource(columns, name="series")
    shared = Range1d(x_range[0] - 0.5, x_range[1] - 0.5)
    size = empty_figure("Size", HEIGHT_PX, x_range=shared, y_axis_type="log")
    size.varea("center", "rms_low", "rms_high", source=source, fill_color=LINE, fill_alpha=0.3)
    line = draw_line(size, "center", "rms_high", source, LINE, legend_label="rms")
    draw_line(size, "center", "mean_abs", source, SECOND, legend_label="mean |x|")
    draw_line(size, "center", "magnitude", source, SECOND, line_dash="2 2", legend_label="max |x|")
    size.add_tools(
        HoverTool(
            renderers=[line],
            mode="vline",
            line_policy="nearest",
            tooltips=[
                ("from iteration", "@left{0}"),
                ("rms", "@rms_low{0.000e+0} to @rms_high{0.000e+0}"),
                ("mean |x|", "@mean_abs{0.000e+0}"),
                ("range", "@min{0.000e+0} to @max{0.000e+0}"),
                ("zero", "@zero_share{0.0%}"),
                ("NaN, infinite", "@n_nan, @n_inf"),
            ],
        )
    )
    calm_legend(size)
    spread = empty_figure("Smallest to largest element", HEIGHT_PX, x_range=shared)
    spread.varea("center", "min", "max", source=source, fill_color=LINE, fill_alpha=0.3)
    draw_line(spread, "center", "min", source, LINE)
    draw_line(spread, "center", "max", source, LINE)
    zeros = empty_figure("Share of zero elements", HEIGHT_PX, x_range=shared)
    zeros.y_range = Range1d(-0.02, 1.02)
    draw_line(zeros, "center", "zero_share", source, LINE, line_width=1.5)
    ratio = empty_figure(
        "Update relative to weight (rms)", HEIGHT_PX, x_range=shared, y_axis_type="log"
    )
    draw_line(ratio, "center", "ratio", source, LINE, line_width=1.5)
    figures = {"size": size, "range": spread, "zeros": zeros, "ratio": ratio}
    for plot in figures.values():
        add_broken(plot, source)
    return figures


def positive(values: Values) -> Values:
    """What a logarithmic axis can show; NaN for the rest."""
    with np.errstate(invalid="ignore"):
        shown: Values = np.where(values > 0, values, np.nan)
    return shown


def _ratio(overview: Overview, header: Header, series: int) -> Values:
    weight = weight_of(header, series)
    if weight is None:
        return np.full(overview.n_columns, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return positive(overview.rms_high[:, series] / overview.rms_low[:, weight])
