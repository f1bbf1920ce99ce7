"""Histograms for the report: of tensors that a trace holds in full, and of those that it counted.

What was recorded over the powers of two is shown where there is no full tensor.
"""

from dataclasses import dataclass

import numpy as np

from deeplocalize.traces.histogram import Histogram as RecordedHistogram
from deeplocalize.traces.interface import TensorEntry, TraceReader

N_BINS = 40
# Reading stops here, so that a trace full of large tensors does not make a report slow.
MAX_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Histogram:
    """Counts of a tensor's finite elements in equal bins from ``min`` to ``max`` of an axis.

    ``n_zero`` counts zeros that the bins leave out, since an axis of logarithms has no place for
    them.
    """

    iteration: int
    min: float
    max: float
    counts: tuple[int, ...]
    n_nonfinite: int
    n_zero: int = 0
    axis: str = "value"


def histograms(reader: TraceReader, iteration: int | None) -> dict[int, Histogram]:
    """By series, the histogram nearest to an iteration (None: the last one).

    Tensors without finite elements have none.
    """
    found = _recorded(reader, iteration)
    n_bytes = 0
    for series, entry in sorted(_nearest(reader, iteration).items()):
        n_bytes += int(np.prod(entry.shape)) * np.dtype(entry.dtype).itemsize
        if n_bytes > MAX_BYTES:
            break
        values = np.asarray(reader.read_tensor(entry))
        if values.dtype.kind not in "fiub":
            continue
        flat = values.ravel().astype(np.float64)
        finite = flat[np.isfinite(flat)]
        if not finite.size:
            continue
        low, high = float(finite.min()), float(finite.max())
        # Halved first: the width of an enormous range would overflow.
        place = (finite / 2 - low / 2) / ((high / 2 - low / 2) or 1.0) * N_BINS
        counts = np.bincount(np.minimum(place.astype(np.int64), N_BINS - 1), minlength=N_BINS)
        found[series] = Histogram(
            entry.iteration, low, high, tuple(counts.tolist()), int(flat.size - finite.size)
        )
    return found


def _recorded(reader: TraceReader, iteration: int | None) -> dict[int, Histogram]:
    nearest: dict[int, RecordedHistogram] = {}
    for one in reader.histograms():
        held = nearest.setdefault(one.series, one)
        if _distance(one.iteration, iteration) < _distance(held.iteration, iteration):
            nearest[one.series] = one
    return {
        series: Histogram(
            one.iteration,
            one.first_exponent - 1.0,
            one.first_exponent - 1.0 + len(one.positive),
            tuple(a + b for a, b in zip(one.negative, one.positive, strict=True)),
            one.n_nan + one.n_posinf + one.n_neginf,
            one.n_zero,
            "log2 |x|",
        )
        for series, one in nearest.items()
        if one.positive
    }


def _distance(found: int, wanted: int | None) -> int:
    """How far from the wanted iteration one is; the last one is nearest to None."""
    return -found if wanted is None else abs(found - wanted)


def _nearest(reader: TraceReader, iteration: int | None) -> dict[int, TensorEntry]:
    nearest: dict[int, TensorEntry] = {}
    for entry in reader.tensor_entries():
        held = nearest.setdefault(entry.series, entry)
        if _distance(entry.iteration, iteration) < _distance(held.iteration, iteration):
            nearest[entry.series] = entry
    return nearest
