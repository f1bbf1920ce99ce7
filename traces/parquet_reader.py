"""Reads a trace in a directory of Parquet files, only committed parts and only verified bytes."""

import json
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from . import longform
from .document import from_document
from .errors import DAMAGE, TraceError, TraceFormatError, TraceReadError
from .header import Header, header_from_document
from .histogram import Histogram, check_lengths
from .interface import Event, TensorEntry
from .parquet import ARROW_TYPES, COLUMNS, HEADER, PART_NAME, Part
from .schema import EVENTS, HISTOGRAMS, ITERATIONS, STATISTICS, TABLES, TENSORS, Column
from .seal import unseal
from .table import Block, Table, check_order, concatenate, empty_table, missing, selected
from .tensors import check_series, n_bytes, tensor_from_bytes


class ParquetReader:
    """Reads a trace, also while it is being written and after its process was killed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_closed = False
        self.refresh()

    @property
    def header(self) -> Header:
        """The last complete header."""
        return self._header

    @property
    def n_iterations(self) -> int:
        """Iterations that can be read."""
        parts = self._parts["iterations"]
        return parts[-1].stop if parts else 0

    @property
    def ends(self) -> NDArray[np.int64]:
        """Rows of the iterations table at which its parts end."""
        return np.array([part.stop for part in self._parts["iterations"]], dtype=np.int64)

    def iterations(self, start: int = 0, stop: int | None = None) -> Table:
        """Rows ``start`` to ``stop`` of the iterations table."""
        start, stop, _ = slice(start, stop).indices(self.n_iterations)
        iterations, _ = self._iterations(start, stop)
        check_order(iterations["iteration"], iterations["iteration"][:0], str(self._path))
        return iterations

    def read(
        self, start: int = 0, stop: int | None = None, columns: Sequence[str] | None = None
    ) -> Block:
        """Rows ``start`` to ``stop`` with their statistics (all columns, or the named ones)."""
        chosen = selected(STATISTICS, columns)
        start, stop, _ = slice(start, stop).indices(self.n_iterations)
        iterations, is_recorded = self._iterations(start, stop)
        recorded = iterations["iteration"][is_recorded]
        check_order(iterations["iteration"], recorded, str(self._path))
        shape = (len(recorded), len(self._header.series))
        statistics = Table(STATISTICS, {c.name: missing(c, shape) for c in chosen})
        for part in _covering(self._parts["statistics"], start, stop):
            with self._reading():
                long = self._columns("statistics", part, [*longform.KEYS, *chosen])
                longform.fill(statistics, recorded, long)
        return Block(iterations, recorded, statistics)

    def tensor_entries(self) -> Sequence[TensorEntry]:
        """Every full tensor in the trace, in the order of writing."""
        entries = []
        for part in self._parts["tensors"]:
            with self._reading():
                columns = self._columns("tensors", part, TENSORS[:-1])
                for row in range(part.stop - part.start):
                    entry = TensorEntry(
                        iteration=int(columns["iteration"][row]),
                        series=int(columns["series"][row]),
                        dtype=json.loads(columns["dtype"][row]),
                        shape=tuple(json.loads(columns["shape"][row])),
                        location=(part.start + row,),
                    )
                    check_series(entry.series, len(self._header.series), str(part.path))
                    n_bytes(entry.dtype, entry.shape, str(part.path))
                    entries.append(entry)
        return entries

    def read_tensor(self, entry: TensorEntry) -> NDArray[Any]:
        """The values of one full tensor."""
        (row,) = entry.location
        (part,) = _covering(self._parts["tensors"], row, row + 1)
        with self._reading():
            data = self._columns("tensors", part, TENSORS[-1:])["data"][row - part.start]
            return tensor_from_bytes(data, entry.dtype, entry.shape, str(part.path))

    def histograms(self) -> Iterator[Histogram]:
        """Every histogram, in the order of writing, read piece by piece."""
        for part in self._parts["histograms"]:
            with self._reading():
                source = f"{part.path}: histogram"
                rows = self._documents("histograms", part, HISTOGRAMS)
                found = [from_document(Histogram, row, source) for row in rows]
                check_lengths(found)
                for one in found:
                    check_series(one.series, len(self._header.series), source)
            yield from found

    def events(self) -> Sequence[Event]:
        """Every event, in the order of writing."""
        events = []
        for part in self._parts["events"]:
            with self._reading():
                source = f"{part.path}: event"
                rows = self._documents("events", part, EVENTS)
                events += [from_document(Event, row, source) for row in rows]
        return events

    def refresh(self) -> None:
        """See what was flushed since the trace was opened."""
        with self._reading():
            # The iterations first: what they commit is all there when it is listed after them.
            # The header last: it then knows at least the series that the parts hold.
            # The events before the tensors that they tell of.
            order = dict.fromkeys(("iterations", "events", *TABLES))
            self._parts = {table: self._list(table) for table in order}
            if self._parts["statistics"] and not (self._path / "iterations").is_dir():
                raise TraceFormatError(
                    f"{self._path}: its folder iterations is missing; copy the whole directory"
                )
            committed = self._parts["iterations"]
            statistics = self._parts["statistics"][: len(committed)]
            if [part.stop for part in statistics] != [part.stop for part in committed]:
                raise TraceFormatError(f"{self._path}: a part of the statistics is missing")
            self._parts["statistics"] = statistics
            source = str(self._path / HEADER)
            try:
                data = (self._path / HEADER).read_bytes()
            except FileNotFoundError as error:
                raise TraceFormatError(
                    f"{self._path}: a directory, but not a trace: it has no {HEADER}"
                ) from error
            self._header = header_from_document(unseal(data, source), source)

    def close(self) -> None:
        """Release the trace; a second call does nothing."""
        self._is_closed = True

    def _list(self, table: str) -> list[Part]:
        """The committed parts of a table: those that have got their name, without a gap."""
        directory = self._path / table
        names = sorted(file.name for file in directory.iterdir()) if directory.is_dir() else []
        parts: list[Part] = []
        for match in filter(None, map(PART_NAME.fullmatch, names)):
            path = directory / match[0]
            part = Part(path, int(match[1]), int(match[2]), int(match[3], 16))
            if part.start != (parts[-1].stop if parts else 0) or part.stop <= part.start:
                raise TraceFormatError(f"{path}: the part before it is missing")
            parts.append(part)
        return parts

    def _iterations(self, start: int, stop: int) -> tuple[Table, NDArray[np.bool_]]:
        """Rows of the iterations table, and which of them have statistics."""
        tables, flags = [empty_table(ITERATIONS, (0,))], [np.zeros(0, dtype=np.bool_)]
        for part in _covering(self._parts["iterations"], start, stop):
            with self._reading():
                columns = self._columns("iterations", part, COLUMNS["iterations"])
                rows = slice(max(start - part.start, 0), stop - part.start)
                flags.append(columns.pop("recorded")[rows])
                tables.append(Table(ITERATIONS, columns).rows(rows.start, rows.stop))
        return concatenate(tables), np.concatenate(flags)

    def _documents(
        self, table: str, part: Part, schema: Sequence[Column]
    ) -> Iterator[dict[str, Any]]:
        """The rows of a part, one by one."""
        for values in zip(*self._columns(table, part, schema).values(), strict=True):
            yield {
                column.name: json.loads(value) if column.dtype == "json" else value.item()
                for column, value in zip(schema, values, strict=True)
            }

    def _columns(self, table: str, part: Part, columns: Sequence[Column]) -> dict[str, Any]:
        """Columns of a part, its bytes verified before they are parsed."""
        data = part.path.read_bytes()
        if zlib.crc32(data) != part.checksum:
            raise TraceFormatError(f"{part.path}: damaged: its checksum does not match its name")
        file = pq.ParquetFile(pa.BufferReader(data))
        n_rows, n_named = file.metadata.num_rows, part.stop - part.start
        n_series = len(self._header.series)
        if n_rows > n_named * n_series if table == "statistics" else n_rows != n_named:
            raise TraceFormatError(f"{part.path}: {n_rows} rows, its name says {n_named}")
        # A thread of Arrow's may outlive the read and hold the bytes; letting go of them while
        # Python shuts down would abort the process.
        loaded = file.read([column.name for column in columns], use_threads=False)
        return {column.name: _from_arrow(loaded.column(column.name), column) for column in columns}

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn what the system, Arrow and damaged values raise into a child of TraceError."""
        if self._is_closed:
            raise ValueError(f"{self._path}: the trace is closed")
        try:
            yield
        except TraceError:
            raise
        except PermissionError as error:
            raise TraceReadError(f"{error.filename}: cannot be read: {error.strerror}") from error
        except (*DAMAGE, pa.ArrowException) as error:
            raise TraceFormatError(f"{self._path}: damaged: {error}") from error


def _covering(parts: list[Part], start: int, stop: int) -> list[Part]:
    """The parts that hold rows ``start`` to ``stop``."""
    first = bisect_right(parts, start, key=lambda part: part.stop)
    last = bisect_left(parts, stop, key=lambda part: part.start)
    return parts[first:last]


def _from_arrow(values: Any, column: Column) -> Any:
    """A NumPy array of a numeric column, a list of the values of any other."""
    if column.dtype in ARROW_TYPES:
        return values.to_pylist()
    array = values.to_numpy()
    if array.dtype != column.numpy_dtype:
        raise ValueError(f"column {column.name} is of {array.dtype}, not {column.dtype}")
    return array
