"""Reads a trace in one HDF5 file, only what ``committed`` counts and only what it verified."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from .blocks import BlockIndex, crc
from .errors import DAMAGE, TraceError, TraceFormatError, TraceReadError
from .hdf5 import COUNTS, DATASETS, FORMAT_NAME, JOURNALS, RECORDED, reason
from .header import Header, check_version, header_from_document
from .interface import Event, TensorEntry
from .schema import ITERATIONS, STATISTICS, Column
from .seal import unseal
from .table import Block, Table, selected
from .tensors import n_bytes, tensor_from_bytes


class Hdf5Reader:
    """Reads a trace, also while it is being written and after its process was killed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: Any = None
        try:
            self._file = h5py.File(path, "r", swmr=True, locking=False)
        except PermissionError as error:
            raise TraceReadError(f"{path}: cannot be read: {reason(error)}") from error
        except (OSError, RuntimeError) as error:
            raise TraceFormatError(f"{path}: truncated or damaged: {reason(error)}") from error
        try:
            with self._reading():
                if self._file.attrs.get("format") != np.bytes_(FORMAT_NAME):
                    raise TraceFormatError(f"{path}: an HDF5 file, but not a trace of deeplocalize")
                check_version(int(self._file.attrs["format_version"]), str(path))
                self._datasets: dict[str, Any] = {}
                self._load()
        except TraceError:
            self.close()
            raise

    @property
    def header(self) -> Header:
        """The last complete header."""
        return self._header

    @property
    def n_iterations(self) -> int:
        """Iterations that can be read."""
        return self._blocks.n_iterations

    def iterations(self, start: int = 0, stop: int | None = None) -> Table:
        """Rows ``start`` to ``stop`` of the iterations table."""
        start, stop, _ = slice(start, stop).indices(self.n_iterations)
        with self._reading():
            return self._iterations(start, stop)

    def read(
        self, start: int = 0, stop: int | None = None, columns: Sequence[str] | None = None
    ) -> Block:
        """Rows ``start`` to ``stop`` with their statistics (all columns, or the named ones)."""
        start, stop, _ = slice(start, stop).indices(self.n_iterations)
        chosen = selected(STATISTICS, columns)
        with self._reading():
            iterations = self._iterations(start, stop)
            blocks = self._blocks.covering(start, stop)
            recorded = self._column("statistics/recorded", RECORDED, blocks)
            statistics = Table(
                STATISTICS,
                {c.name: self._column(f"statistics/{c.name}", c, blocks) for c in chosen},
            )
        first, last = np.searchsorted(recorded, _range_of(iterations["iteration"]))
        return Block(iterations, recorded[first:last], statistics.rows(first, last))

    def tensor_entries(self) -> Sequence[TensorEntry]:
        """Every full tensor in the trace, in the order of writing."""
        with self._reading():
            return [self._entry(line) for line in self._lines("tensor_index")]

    def read_tensor(self, entry: TensorEntry) -> NDArray[Any]:
        """The values of one full tensor."""
        offset, checksum = entry.location
        with self._reading():
            size = n_bytes(entry.dtype, entry.shape, str(self._path))
            if not 0 <= offset <= self._counts["tensor_data"] - size:
                raise TraceFormatError(f"{self._path}: a tensor reaches beyond the file")
            data = self._file["tensor_data"][offset : offset + size]
        if crc(data) != checksum:
            raise TraceFormatError(
                f"{self._path}: a tensor is damaged: its checksum does not match"
            )
        return tensor_from_bytes(data, entry.dtype, entry.shape, str(self._path))

    def events(self) -> Sequence[Event]:
        """Every event, in the order of writing."""
        with self._reading():
            source = str(self._path)
            return [Event.from_document(line, source) for line in self._lines("events")]

    def refresh(self) -> None:
        """See what was flushed since the trace was opened."""
        with self._reading():
            self._load()

    def close(self) -> None:
        """Release the file; a second call does nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _load(self) -> None:
        """Take the newest committed counts, then whatever grows with them."""
        # The counts first: everything read after them holds at least what they count.
        counts = self._fresh("committed")[...]
        if counts.shape != (len(COUNTS) + 1,) or crc(counts[:-1]) != counts[-1]:
            raise TraceFormatError(f"{self._path}: the committed counts are damaged")
        self._counts = dict(zip(COUNTS, counts.tolist(), strict=False))
        for name, column in DATASETS.items():
            dataset = self._fresh(name)
            if dataset.dtype != column.numpy_dtype or not dataset.chunks:
                raise TraceFormatError(f"{self._path}: {name} is not a column of {column.dtype}")
        rows = self._datasets["blocks"][: self._counts["blocks"]]
        self._blocks = BlockIndex(rows, str(self._path))
        self._check_sizes()
        *_, document = self._lines("header")
        self._header = header_from_document(document, str(self._path))

    def _fresh(self, name: str) -> Any:
        """A dataset in its newest state."""
        if name in self._datasets:
            self._datasets[name].refresh()
        else:
            self._datasets[name] = self._file[name]
        return self._datasets[name]

    def _check_sizes(self) -> None:
        """Refuse counts that the file cannot hold before memory is taken for them."""
        index = (self._blocks.n_iterations, self._blocks.n_recorded)
        needed = 8 * max(self._blocks.n_iterations, self._blocks.n_cells)
        is_short = any(len(self._datasets[name]) < self._counts[name] for name in JOURNALS)
        if (
            index != (self._counts["iterations"], self._counts["recorded"])
            or is_short
            or needed > self._path.stat().st_size
        ):
            raise TraceFormatError(f"{self._path}: truncated, or its counts are damaged")

    def _iterations(self, start: int, stop: int) -> Table:
        blocks = self._blocks.covering(start, stop)
        first, _ = self._blocks.rows_of("iterations/iteration", blocks)
        columns = {c.name: self._column(f"iterations/{c.name}", c, blocks) for c in ITERATIONS}
        return Table(ITERATIONS, columns).rows(start - first, stop - first)

    def _column(self, name: str, column: Column, blocks: range) -> NDArray[Any]:
        """A column's values in whole blocks, verified; the statistics with all series."""
        first, last = self._blocks.rows_of(name, blocks)
        dataset = self._datasets[name]
        missing = column.missing or 0
        values: NDArray[Any]
        if dataset.ndim == 1 or dataset.shape[1] == len(self._header.series):
            values = dataset[first:last]
        else:
            values = np.full((last - first, len(self._header.series)), missing, dataset.dtype)
            width = min(values.shape[1], dataset.shape[1])
            values[:, :width] = dataset[first:last, :width]
        self._blocks.check(name, blocks, values, missing)
        return values

    def _lines(self, journal: str) -> Iterator[dict[str, Any]]:
        data = self._datasets[journal][: self._counts[journal]].tobytes()
        source = f"{self._path}: {journal}"
        return (unseal(line, source) for line in data.splitlines())

    def _entry(self, document: dict[str, Any]) -> TensorEntry:
        return TensorEntry(
            iteration=document["iteration"],
            series=document["series"],
            dtype=document["dtype"],
            shape=tuple(document["shape"]),
            location=(document["offset"], document["data_crc32"]),
        )

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn what HDF5 and damaged values raise into a TraceFormatError."""
        if self._file is None:
            raise ValueError(f"{self._path}: the trace is closed")
        try:
            yield
        except TraceError:
            raise
        except DAMAGE as error:
            raise TraceFormatError(f"{self._path}: damaged: {reason(error)}") from error


def _range_of(numbers: NDArray[np.int64]) -> tuple[int, int]:
    """The first number and the one after the last; ``(0, 0)`` without any."""
    return (int(numbers[0]), int(numbers[-1]) + 1) if len(numbers) else (0, 0)
