"""Reading a trace in pieces of bounded size: chunk by chunk, or its first and last recorded rows.

A schedule may leave out most iterations, so that rows of statistics have to be looked for.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from deeplocalize.traces.interface import TraceReader
from deeplocalize.traces.schema import STATISTICS
from deeplocalize.traces.table import Block, concatenate

CHUNK_BYTES = 16 * 2**20

_N_FIRST_LOOK = 64


def rows_per_chunk(n_series: int, chunk_bytes: int = CHUNK_BYTES) -> int:
    """Iterations whose statistics fit into the given number of bytes; at least one."""
    row_bytes = max(n_series, 1) * sum(
        column.numpy_dtype.itemsize for column in STATISTICS if column.name != "checksum"
    )
    return max(1, chunk_bytes // row_bytes)


def read_first(reader: TraceReader, n_rows: int, stop: int, columns: Sequence[str]) -> Block:
    """The first recorded rows, as many as there are before a row of the iterations."""
    found: list[Block] = []
    at = 0
    for length in _lengths(reader, stop):
        found = _with_rows([*found, reader.read(at, at + length, columns)])
        at += length
        if _n_recorded(found) >= n_rows:
            break
    return rows_of(_joined(found or [reader.read(0, 0, columns)]), 0, n_rows)


def read_last(reader: TraceReader, n_rows: int, stop: int, columns: Sequence[str]) -> Block:
    """The last recorded rows, as many as there are before a row of the iterations."""
    found: list[Block] = []
    at = stop
    for length in _lengths(reader, stop):
        found = _with_rows([reader.read(at - length, at, columns), *found])
        at -= length
        if _n_recorded(found) >= n_rows:
            break
    joined = _joined(found or [reader.read(0, 0, columns)])
    n = len(joined.recorded)
    return rows_of(joined, max(n - n_rows, 0), n)


def rows_of(block: Block, start: int, stop: int) -> Block:
    """A block with some of its recorded rows."""
    return Block(block.iterations, block.recorded[start:stop], block.statistics.rows(start, stop))


def _lengths(reader: TraceReader, n: int) -> Iterable[int]:
    """Lengths of stretches that cover n iterations: a short one, then longer ones."""
    longest = rows_per_chunk(len(reader.header.series))
    length = min(_N_FIRST_LOOK, longest)
    while n > 0:
        yield min(length, n)
        n -= length
        length = min(2 * length, longest)


def _with_rows(blocks: Iterable[Block]) -> list[Block]:
    return [block for block in blocks if len(block.recorded)]


def _n_recorded(blocks: Iterable[Block]) -> int:
    return sum(len(block.recorded) for block in blocks)


def _joined(blocks: Sequence[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    return Block(
        concatenate(block.iterations for block in blocks),
        np.concatenate([block.recorded for block in blocks]),
        concatenate(block.statistics for block in blocks),
    )
