"""Histograms of the tensors that a trace holds in full."""

from dataclasses import dataclass

import numpy as np

from deeplocalize.traces.interface import TensorEntry, TraceReader

N_BINS = 40
# Reading stops here, so that a trace full of large tensors does not make a report slow.
MAX_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Histogram:
    """Counts of a tensor's finite elements in equal bins from ``min`` to ``max``."""

    iteration: int
    min: float
    max: float
    counts: tuple[int, ...]
    n_nonfinite: int


def histograms(reader: TraceReader, iteration: int | None) -> dict[int, Histogram]:
    """By series, the histogram nearest to an iteration (None: the last one).

    Tensors without finite elements have none.
    """
    found: dict[int, Histogram] = {}
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


def _nearest(reader: TraceReader, iteration: int | None) -> dict[int, TensorEntry]:
    nearest: dict[int, TensorEntry] = {}

    def distance(entry: TensorEntry) -> int:
        return -entry.iteration if iteration is None else abs(entry.iteration - iteration)

    for entry in reader.tensor_entries():
        held = nearest.setdefault(entry.series, entry)
        if distance(entry) < distance(held):
            nearest[entry.series] = entry
    return nearest
