"""The report's plots as one document of the plotting library, still to be themed by the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from bokeh.core.json_encoder import serialize_json
from bokeh.document import Document
from bokeh.models import ColumnDataSource, Range1d
from bokeh.plotting import figure
from bokeh.resources import Resources

from deeplocalize.traces.header import Header
from deeplocalize.traces.plots.figure import LINE, empty_figure
from deeplocalize.traces.plots.heatmap import heatmap
from deeplocalize.traces.plots.losses import loss_figures
from deeplocalize.traces.plots.series import HEIGHT_PX, bands_of, series_figures

from .views import Views


@dataclass(frozen=True)
class Charts:
    """``documents`` and ``items`` are what the library's ``embed_items`` takes, as JSON.

    Each of the plots goes into the element whose id is its name.
    """

    documents: str
    items: str
    names: Sequence[str]


def charts_of(header: Header, views: Views, onsets: list[int], series: int | None) -> Charts:
    """Every plot of the report; the page's script fills those of the chosen kind and series."""
    overview = views.overview
    x_range = (overview.first, overview.stop)
    plots: dict[str, figure] = loss_figures(views.curves, x_range, onsets)
    if series is not None:
        plots["heatmap"] = heatmap(overview, [series], [""], "")
        plots |= series_figures(bands_of(overview, header, series), x_range)
        plots["histogram"] = _histogram_figure()
    document = Document(title="")
    # All at once: after each addition the library goes through all the models.
    with document.models.freeze():
        for name, plot in plots.items():
            plot.name = name
            document.add_root(plot)
    item = {
        "docid": "report",
        "roots": {plot.id: name for name, plot in plots.items()},
        "root_ids": [plot.id for plot in plots.values()],
    }
    documents = serialize_json({"report": document.to_json(deferred=False)})
    return Charts(documents, serialize_json([item]), list(plots))


@cache
def library() -> str:
    """The plotting library's script."""
    return "\n".join(Resources(mode="inline", components=["bokeh"], log_level="error").js_raw)


def _histogram_figure() -> figure:
    plot = empty_figure("Histogram", HEIGHT_PX, x_range=Range1d(0, 1))
    plot.xaxis.axis_label = "value"
    plot.xaxis.formatter.use_scientific = True
    plot.xaxis.formatter.precision = 3
    source = ColumnDataSource({"left": [], "right": [], "top": []}, name="bins")
    plot.quad(
        left="left", right="right", top="top", bottom=0, source=source,
        fill_color=LINE, fill_alpha=0.6, line_color=None,
    )  # fmt: skip
    plot.y_range.start = 0
    return plot
