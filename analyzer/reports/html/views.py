"""What the HTML report reads from a trace, once, before it is written."""

from dataclasses import dataclass

from deeplocalize.traces.interface import TraceReader
from deeplocalize.traces.plots.losses import Curves, curves_of
from deeplocalize.traces.plots.overview import Overview, overview_of

from ...diagnosis import Diagnosis
from ...histograms import Histogram, histograms
from ...samples import GuiltySamples, guilty_samples
from ...window import row_of

# Pixel columns times series: what a page of less than 3 MB holds.
MAX_CELLS = 60_000
MIN_COLUMNS, MAX_COLUMNS = 24, 640

N_BEFORE, N_AFTER = 48, 16


@dataclass(frozen=True, eq=False)
class Views:
    """A trace as the report shows it.

    ``closeup`` holds the iterations around the fault one by one; None without a fault, and
    where the overview shows each iteration anyway.
    """

    overview: Overview
    closeup: Overview | None
    curves: Curves
    samples: GuiltySamples | None
    histograms: dict[int, Histogram]


def views_of(reader: TraceReader, diagnosis: Diagnosis) -> Views:
    """Read what the report of a diagnosis shows.

    Raises
    ------
    TraceError
        The trace cannot be read.
    """
    n_series = max(len(reader.header.series), 1)
    n_columns = min(max(MAX_CELLS // n_series, MIN_COLUMNS), MAX_COLUMNS)
    overview = overview_of(reader, max_columns=n_columns)
    fault = diagnosis.first_fault
    closeup = None
    if fault is not None and overview.width > 1:
        row = row_of(reader, fault.moment.iteration)
        closeup = overview_of(reader, max(row - N_BEFORE, 0), row + N_AFTER)
    return Views(
        overview=overview,
        closeup=closeup,
        curves=curves_of(reader, overview),
        samples=guilty_samples(reader, fault),
        histograms=histograms(reader, None if fault is None else fault.moment.iteration),
    )
