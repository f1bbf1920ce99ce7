"""Plots of a trace: ``trace.plot.heatmap()``, ``.series(...)`` and ``.losses()``.

They return the plotting library's objects (Bokeh), to show or to go on with:
``bokeh.io.show(trace.plot.losses())``. The library is imported with the first plot.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import TraceLookupError
from ..interface import TraceReader
from ..lookup import find_series
from ..schema import Kind
from .overview import Overview, overview_of
from .wording import series_label

if TYPE_CHECKING:
    from bokeh.models import Column
    from bokeh.plotting import figure


class Plots:
    """Plots of a trace, everywhere from iteration ``start`` to before ``stop``.

    ``row_at`` gives the first row of the trace whose iteration is not smaller.
    """

    def __init__(self, reader: TraceReader, row_at: Callable[[int], int]) -> None:
        self._reader, self._row_at = reader, row_at

    def heatmap(self, kind: str = Kind.OUTPUT, start: int = 0, stop: int | None = None) -> "figure":
        """The rms of all series of a kind over the iterations; non-finite ones are red.

        Raises
        ------
        TraceLookupError
            Nothing of this kind was recorded.
        """
        from .heatmap import heatmap

        header = self._reader.header
        chosen = find_series(header, kind=kind)
        labels = [series_label(header, i) for i in chosen]
        return heatmap(self._overview(start, stop), chosen, labels, f"{kind}: rms")

    def series(
        self,
        layer: str | int | None = None,
        kind: str = Kind.OUTPUT,
        tensor: str | None = None,
        call: int | None = None,
        start: int = 0,
        stop: int | None = None,
    ) -> "Column":
        """Size, range and zero share of one series, for updates also the ratio to the weight.

        Parameters
        ----------
        layer, kind, tensor, call
            As in `Trace.statistics`; the first series that fits is drawn.

        Raises
        ------
        TraceLookupError
            There is no such series.
        """
        from bokeh.layouts import column

        from .figure import plain
        from .series import bands_of, series_figures, weight_of

        header = self._reader.header
        index = find_series(header, layer, kind, tensor, call)[0]
        overview = self._overview(start, stop)
        figures = series_figures(bands_of(overview, header, index), _x_range(overview))
        if weight_of(header, index) is None:
            del figures["ratio"]
        figures["size"].title.text = plain(series_label(header, index))
        return column(*figures.values(), sizing_mode="stretch_width")

    def histogram(
        self,
        layer: str | int | None = None,
        kind: str | None = None,
        tensor: str | None = None,
        call: int | None = None,
    ) -> "figure":
        """How the elements of one series spread over the powers of two, by iteration.

        Parameters
        ----------
        layer, kind, tensor, call
            As in `Trace.statistics`; the first series that fits and has histograms is drawn.

        Raises
        ------
        TraceLookupError
            There is no such series, or no histogram of it.
        """
        from .histogram import histogram_figure

        header = self._reader.header
        chosen = find_series(header, layer, kind, tensor, call)
        recorded = [one for one in self._reader.histograms() if one.series in chosen]
        if not recorded:
            raise TraceLookupError("no histogram was recorded of it; Recorder(..., histograms=)")
        series = min(one.series for one in recorded)
        shown = [one for one in recorded if one.series == series]
        return histogram_figure(shown, series_label(header, series))

    def losses(self, start: int = 0, stop: int | None = None) -> "Column":
        """Loss of each batch, metrics and learning rate over the iterations."""
        from bokeh.layouts import column

        from .losses import curves_of, loss_figures

        overview = self._overview(start, stop)
        figures = loss_figures(curves_of(self._reader, overview), _x_range(overview))
        return column(*figures.values(), sizing_mode="stretch_width")

    def _overview(self, start: int, stop: int | None) -> Overview:
        last = None if stop is None else self._row_at(stop)
        overview = overview_of(self._reader, self._row_at(start), last)
        if not overview.n_columns:
            raise TraceLookupError("there are no iterations to plot yet")
        return overview


def _x_range(overview: Overview) -> tuple[int, int]:
    return overview.first, overview.stop


__all__ = ["Plots"]
