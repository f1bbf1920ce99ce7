"""Reads a trace in one HDF5 file, only what ``committed`` counts and only what it verified."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .blocks import BlockIndex, crc
from .document import Count, from_document
from .errors import DAMAGE, TraceFormatError, TraceReadError, TraceVersionError
from .hdf5 import ADDED, COUNTS, DATASETS, JOURNALS, RECORDED, has_format, open_file, reason
from .header import Header, check_version, header_from_document
from .histogram import Histogram, check_lengths
from .interface import Event, TensorEntry
from .schema import ITERATIONS, STATISTICS, Column
from .seal import unseal
from .table import Block, Table, check_order, selected
from .tensors import check_series, n_bytes, tensor_from_bytes

_T = TypeVar("_T")

# A structure of the file read just while it is written looks damaged: writing it takes some
# microseconds, so what still does after these pauses is damaged.
_PAUSES_S = (0.001, 0.01, 0.05)
_PIECE_BYTES = 1 << 20


class Hdf5Reader:
    """Reads a trace, also while it is being written and after its process was killed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._contents: _Contents | None = None
        self._contents = self._attempt(lambda: _open(path))

    @property
    def header(self) -> Header:
        """The last complete header."""
        return self._opened.header

    @property
    def n_iterations(self) -> int:
        """Iterations that can be read."""
        return self._opened.blocks.n_iterations

    @property
    def ends(self) -> NDArray[np.int64]:
        """Rows of the iterations table at which its blocks end."""
        return self._opened.blocks.ends

    def iterations(self, start: int = 0, stop: int | None = None) -> Table:
        """Rows ``start`` to ``stop`` of the iterations table."""
        contents = self._opened
        start, stop, _ = slice(start, stop).indices(self.n_iterations)
        return self._attempt(lambda: contents.iterations(start, stop))

    def read(
        self, start: int = 0, stop: int | None = None, columns: Sequence[str] | None = None
    ) -> Block:
        """Rows ``start`` to ``stop`` with their statistics (all columns, or the named ones)."""
        contents = self._opened
        chosen = selected(STATISTICS, columns)
        start, stop, _ = slice(start, stop).indices(self.n_iterations)
        return self._attempt(lambda: contents.read(start, stop, chosen))

    def tensor_entries(self) -> Sequence[TensorEntry]:
        """Every full tensor in the trace, in the order of writing."""
        contents = self._opened
        return self._attempt(contents.tensor_entries)

    def read_tensor(self, entry: TensorEntry) -> NDArray[Any]:
        """The values of one full tensor."""
        contents = self._opened
        return self._attempt(lambda: contents.tensor(entry))

    def histograms(self) -> Iterator[Histogram]:
        """Every histogram, in the order of writing, read piece by piece."""
        contents = self._opened
        rest = b""
        for start in range(0, contents.counts["histograms"], _PIECE_BYTES):
            piece = self._attempt(partial(contents.piece, "histograms", start))
            *lines, rest = (rest + piece).split(b"\n")
            yield from self._attempt(partial(contents.histograms, lines))

    def events(self) -> Sequence[Event]:
        """Every event, in the order of writing."""
        contents, source = self._opened, str(self._path)
        return self._attempt(
            lambda: [
                from_document(Event, line, f"{source}: event") for line in contents.lines("events")
            ]
        )

    def refresh(self) -> None:
        """See what was flushed since the trace was opened."""
        older = self._opened
        self._contents = self._attempt(lambda: _open(self._path))
        older.file.close()

    def close(self) -> None:
        """Release the file; a second call does nothing."""
        if self._contents is not None:
            self._contents.file.close()
            self._contents = None

    @property
    def _opened(self) -> "_Contents":
        if self._contents is None:
            raise ValueError(f"{self._path}: the trace is closed")
        return self._contents

    def _attempt(self, load: Callable[[], _T]) -> _T:
        """What ``load`` returns, with every failure as a child of TraceError."""
        for pause_s in (*_PAUSES_S, None):
            try:
                return load()
            except TraceVersionError:
                raise
            except PermissionError as error:
                raise TraceReadError(f"{self._path}: cannot be read: {reason(error)}") from error
            except DAMAGE as error:
                is_final = self._contents is not None and not self._contents.is_marked
                if pause_s is None or is_final:
                    if isinstance(error, TraceFormatError):
                        raise
                    message = f"{self._path}: truncated or damaged: {reason(error)}"
                    raise TraceFormatError(message) from error
                time.sleep(pause_s)
        raise AssertionError("the last attempt returns or raises")


@dataclass(frozen=True)
class _Contents:
    """A file as it was when it was opened."""

    path: Path
    file: Any
    is_marked: bool
    datasets: dict[str, Any]
    counts: dict[str, int]
    blocks: BlockIndex
    header: Header

    def iterations(self, start: int, stop: int) -> Table:
        blocks = self.blocks.covering(start, stop)
        first, _ = self.blocks.rows_of("iterations/iteration", blocks)
        columns = {c.name: self._column(f"iterations/{c.name}", c, blocks) for c in ITERATIONS}
        check_order(columns["iteration"], columns["iteration"][:0], str(self.path))
        return Table(ITERATIONS, columns).rows(start - first, stop - first)

    def read(self, start: int, stop: int, chosen: Sequence[Column]) -> Block:
        iterations = self.iterations(start, stop)
        blocks = self.blocks.covering(start, stop)
        recorded = self._column("statistics/recorded", RECORDED, blocks)
        columns = {c.name: self._column(f"statistics/{c.name}", c, blocks) for c in chosen}
        first, last = np.searchsorted(recorded, _range_of(iterations["iteration"]))
        check_order(iterations["iteration"], recorded[first:last], str(self.path))
        statistics = Table(STATISTICS, columns).rows(first, last)
        return Block(iterations, recorded[first:last], statistics)

    def tensor_entries(self) -> list[TensorEntry]:
        source, entries = f"{self.path}: tensor_index", []
        for document in self.lines("tensor_index"):
            line = from_document(_IndexLine, document, source)
            check_series(line.series, len(self.header.series), source)
            n_bytes(line.dtype, line.shape, source)
            location = (line.offset, line.data_crc32)
            entries.append(
                TensorEntry(line.iteration, line.series, line.dtype, line.shape, location)
            )
        return entries

    def tensor(self, entry: TensorEntry) -> NDArray[Any]:
        offset, checksum = entry.location
        size = n_bytes(entry.dtype, entry.shape, str(self.path))
        if not 0 <= offset <= self.counts["tensor_data"] - size:
            raise TraceFormatError(f"{self.path}: a tensor reaches beyond the file")
        data = self.datasets["tensor_data"][offset : offset + size]
        if crc(data) != checksum:
            raise TraceFormatError(f"{self.path}: a tensor's checksum does not match: damaged")
        return tensor_from_bytes(data, entry.dtype, entry.shape, str(self.path))

    def piece(self, journal: str, start: int) -> bytes:
        stop = min(start + _PIECE_BYTES, self.counts[journal])
        data: bytes = self.datasets[journal][start:stop].tobytes()
        return data

    def histograms(self, lines: Sequence[bytes]) -> list[Histogram]:
        source = f"{self.path}: histograms"
        found = [from_document(Histogram, unseal(line, source), source) for line in lines]
        check_lengths(found)
        for one in found:
            check_series(one.series, len(self.header.series), source)
        return found

    def lines(self, journal: str) -> Iterator[dict[str, Any]]:
        """The documents of a journal."""
        data = self.datasets[journal][: self.counts[journal]].tobytes()
        return (unseal(line, f"{self.path}: {journal}") for line in data.splitlines())

    def _column(self, name: str, column: Column, blocks: range) -> NDArray[Any]:
        """A column's values in whole blocks, verified; the statistics with all series."""
        first, last = self.blocks.rows_of(name, blocks)
        dataset, n_series = self.datasets[name], len(self.header.series)
        missing = column.missing or 0
        values: NDArray[Any]
        if dataset.ndim == 1 or dataset.shape[1] == n_series:
            values = dataset[first:last]
        else:
            width = min(n_series, dataset.shape[1])
            values = np.full((last - first, n_series), missing, dataset.dtype)
            values[:, :width] = dataset[first:last, :width]
        self.blocks.check(name, blocks, values, missing)
        return values


def _open(path: Path) -> _Contents:
    """Open a file and take its newest committed counts, then whatever grows with them."""
    file, is_marked = open_file(path)
    try:
        return _contents(path, file, is_marked)
    except DAMAGE:
        file.close()
        raise


def _contents(path: Path, file: Any, is_marked: bool) -> _Contents:
    if not has_format(file):
        raise TraceFormatError(f"{path}: an HDF5 file, but not a trace of deeplocalize")
    version = int(file.attrs["format_version"])
    check_version(version, str(path))
    names = [name for name in COUNTS if ADDED.get(name, 1) <= version]
    # The counts first: everything read after them holds at least what they count.
    committed = file["committed"][...]
    if committed.shape != (len(names) + 1,) or crc(committed[:-1]) != committed[-1]:
        raise TraceFormatError(f"{path}: the committed counts are damaged")
    counts = dict.fromkeys(COUNTS, 0) | dict(zip(names, committed[:-1].tolist(), strict=True))
    datasets = {name: file[name] for name in DATASETS if ADDED.get(name, 1) <= version}
    for name, dataset in datasets.items():
        if dataset.dtype != DATASETS[name].numpy_dtype or not dataset.chunks:
            raise TraceFormatError(f"{path}: {name} is not a column of {DATASETS[name].dtype}")
    blocks = BlockIndex(datasets["blocks"][: counts["blocks"]], str(path))
    _check_sizes(path, datasets, counts, blocks)
    data = datasets["header"][: counts["header"]].tobytes()
    document = unseal(data.splitlines()[-1], f"{path}: header")
    header = header_from_document(document, str(path))
    return _Contents(path, file, is_marked, datasets, counts, blocks, header)


def _check_sizes(
    path: Path, datasets: dict[str, Any], counts: dict[str, int], blocks: BlockIndex
) -> None:
    """Refuse counts that the file cannot hold before memory is taken for them."""
    are_equal = (blocks.n_iterations, blocks.n_recorded) == (
        counts["iterations"],
        counts["recorded"],
    )
    are_there = all(len(datasets[name]) >= counts[name] for name in JOURNALS if counts[name])
    # Of floating-point columns no chunk is left out, so that each cell takes its bytes.
    n_bytes_needed = 8 * max(blocks.n_iterations, blocks.n_cells)
    if not (are_equal and are_there and n_bytes_needed <= path.stat().st_size):
        raise TraceFormatError(f"{path}: truncated, or its counts are damaged")


@dataclass(frozen=True)
class _IndexLine:
    """A line of the journal ``tensor_index``."""

    iteration: Count
    series: Count
    dtype: str
    shape: tuple[Count, ...]
    offset: Count
    data_crc32: Count


def _range_of(numbers: NDArray[np.int64]) -> tuple[int, int]:
    """The first number and the one after the last; ``(0, 0)`` without any."""
    return (int(numbers[0]), int(numbers[-1]) + 1) if len(numbers) else (0, 0)
