"""Which samples of the failing batch carry what is not finite, where tensors were kept in full."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deeplocalize.traces.header import Header
from deeplocalize.traces.interface import TensorEntry, TraceReader

from .places import Place, place_of

MAX_ROWS = 8


@dataclass(frozen=True)
class GuiltyRows:
    """Rows of the batch at fault: the first few of ``n_guilty`` among ``n_samples``.

    ``place`` is the tensor whose rows they are: the first one in the step that was kept.
    """

    place: Place
    rows: tuple[int, ...]
    n_guilty: int
    n_samples: int

    def __str__(self) -> str:
        if self.n_guilty == self.n_samples:
            n = self.n_samples
            who = "The only batch row" if n == 1 else f"All {n} batch rows"
        else:
            who = f"Batch {_listed(self.rows, self.n_guilty)} (of {self.n_samples})"
        return f"{who} of the {self.place} {'carries' if self.n_guilty == 1 else 'carry'} it."


def guilty_rows(reader: TraceReader, iteration: int, series: int) -> GuiltyRows | None:
    """The rows that are not finite in the tensor at fault, or in the first one after it.

    None where no such tensor of that iteration was kept in full.
    """
    header, entries = reader.header, kept_samples(reader, iteration)
    for candidate in _candidates(header, entries, series):
        values = reader.read_tensor(entries[candidate])
        if values.ndim and np.issubdtype(values.dtype, np.inexact):
            rows = np.flatnonzero(n_nonfinite(values))
            if len(rows):
                shown = tuple(rows[:MAX_ROWS].tolist())
                return GuiltyRows(place_of(header, candidate), shown, len(rows), len(values))
    return None


def kept_samples(reader: TraceReader, iteration: int) -> dict[int, TensorEntry]:
    """The tensors of an iteration that were kept in full and have one row per sample, by series."""
    return {
        entry.series: entry
        for entry in reader.tensor_entries()
        if entry.iteration == iteration and reader.header.series[entry.series].kind.has_sample_axis
    }


def n_nonfinite(values: NDArray[np.inexact]) -> NDArray[np.int64]:
    """Non-finite elements per row, shape (rows,)."""
    counts: NDArray[np.int64] = (~np.isfinite(values)).reshape(len(values), -1).sum(axis=1)
    return counts


def _candidates(header: Header, entries: Mapping[int, TensorEntry], first: int) -> Sequence[int]:
    """The tensor at fault, then the others in the order of the step."""
    ordered = sorted(entries, key=lambda i: header.series[i].position)
    return [first, *(i for i in ordered if i != first)] if first in entries else ordered


def _listed(rows: Sequence[int], n: int) -> str:
    """Rows in words: ``row 3``, ``rows 3 and 17``, ``rows 0, 1, 2 and 5 more``."""
    if n == 1:
        return f"row {rows[0]}"
    *most, last = [*map(str, rows), *([f"{n - len(rows)} more"] if n > len(rows) else [])]
    return f"rows {', '.join(most)} and {last}"
