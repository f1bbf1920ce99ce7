"""Walks through a trace from front to back, in memory that its length does not move.

Files hold rows in blocks that are read and verified as a whole, so that a walk that stops
between blocks reads nothing twice.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

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
        Two pieces are in memory at a time: the next one is read while the caller looks at one.
    """

    def read(bounds: tuple[int, int]) -> Block:
        is_flagged = bool(reader.iterations(*bounds)["n_nonfinite_series"].any())
        return reader.read(*bounds, (*columns, *NONFINITE) if is_flagged else columns)

    return _ahead(map(read, stretches(reader, n_rows, start, stop)))


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


def _ahead(blocks: Iterator[Block]) -> Iterator[Block]:
    """The same blocks; a thread takes the next one while the caller looks at one."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = pool.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = pool.submit(next, blocks, None)
            yield block
