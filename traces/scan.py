"""Walks through a trace from front to back, in memory that its length does not move.

Files hold rows in blocks that are read and verified as a whole, so that a walk that stops
between blocks reads nothing twice.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from .interface import TraceReader
from .schema import NONFINITE
from .table import Block


def scan(
    reader: TraceReader,
    columns: Sequence[str],
    n_rows: int,
    start: int = 0,
    stop: int | None = None,
) -> Iterator[Block]:
    """Rows ``start`` to ``stop`` of a trace, piece by piece, with the named columns.

    The columns that count non-finite elements are added to the pieces that have any.

    Parameters
    ----------
    n_rows
        The most iterations of a piece; as many whole blocks as fit, or part of one that does not.
    """
    for begin, end in stretches(reader, n_rows, start, stop):
        is_flagged = bool(reader.iterations(begin, end)["n_nonfinite_series"].any())
        yield reader.read(begin, end, (*columns, *NONFINITE) if is_flagged else columns)


def stretches(
    reader: TraceReader, n_rows: int, start: int = 0, stop: int | None = None
) -> Iterator[tuple[int, int]]:
    """Rows ``start`` to ``stop`` as neighbouring ranges of at most ``n_rows``.

    They end between blocks wherever one does within reach.
    """
    stop = reader.n_iterations if stop is None else min(stop, reader.n_iterations)
    ends = reader.ends
    while start < stop:
        limit = min(start + n_rows, stop)
        n_within = int(np.searchsorted(ends, limit, side="right"))
        last = int(ends[n_within - 1]) if n_within else start
        end = last if last > start else limit
        yield start, end
        start = end
