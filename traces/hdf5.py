"""Traces in one HDF5 file: one dataset per column, readable while being written and after a kill.

Everything is created up front and written in single-writer-multiple-readers (SWMR) mode, whose
ordering of writes keeps the file readable whenever the process dies. A reader sees only what
``committed`` counts, which is written after the rows themselves are flushed.

Which path may be written or overwritten is for ``files.py`` to decide.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from .blocks import N_FIELDS, BlockIndex, columns_of, crc, index_row, with_checksum
from .errors import TraceError, TraceFormatError, TraceReadError, TraceWriteError
from .header import Header, check_version, header_from_document
from .interface import Event, Tensor, TensorEntry
from .schema import FORMAT_VERSION, ITERATIONS, STATISTICS, Column
from .seal import seal, to_json, unseal
from .table import Block, Table, check_block, selected
from .tensors import n_bytes, storable, tensor_from_bytes

FORMAT_NAME = "deeplocalize trace"

JOURNALS = ("header", "events", "tensor_index", "tensor_data")
COUNTS = ("iterations", "recorded", "blocks", *JOURNALS)

# HDF5 1.10 introduced SWMR; a later upper bound would shut out older tools.
_LIBRARY_VERSIONS = ("v110", "v110")
# A flush rewrites the last chunk of every column: larger ones read faster, smaller ones cost less
# there. Tables of a single axis take a quarter of it, so that short traces stay small.
_CHUNK_BYTES = 1 << 16
_RECORDED = Column("recorded", "int64", "steps", "iteration of each row of the statistics")


def is_trace(path: Path) -> bool:
    """Whether the file says of itself that it is a trace (it may still be damaged)."""
    try:
        with h5py.File(path, "r", swmr=True, locking=False) as file:
            return bool(file.attrs["format"] == np.bytes_(FORMAT_NAME))
    except (OSError, RuntimeError, KeyError, ValueError):
        return False


def repair(path: Path) -> None:
    """Rewrite a trace whose process was killed as a properly closed HDF5 file.

    `Hdf5Reader` does not need it; other tools refuse a file that still counts as being
    written. Takes the room of a second copy for a moment. Never call it while the run is alive:
    what the run writes afterwards would be lost.

    Raises
    ------
    TraceFormatError
        Not an HDF5 trace, or damaged.
    TraceWriteError
        The copy could not be written.
    """
    Hdf5Reader(path).close()
    copy = _temporary(path)
    try:
        with (
            h5py.File(path, "r", swmr=True, locking=False) as source,
            h5py.File(copy, "w", libver=_LIBRARY_VERSIONS, locking=False) as target,
        ):
            target.attrs.update(source.attrs)
            for name in source:
                source.copy(name, target)
        copy.replace(path)
    except (OSError, RuntimeError) as error:
        copy.unlink(missing_ok=True)
        raise TraceWriteError(f"{path}: cannot be repaired: {_reason(error)}") from error


class Hdf5Writer:
    """Writes a new trace; the file appears under its name with the first header."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = _temporary(path)
        self._counts = dict.fromkeys(COUNTS, 0)
        self._last_iteration = -1
        self._n_series = 0
        self._is_published = False
        self._has_failed = False
        self._file: Any = None
        self._datasets: dict[str, Any] = {}
        with self._writing():
            # Python's own errors name the reason better than HDF5's.
            self._temporary.touch()
            # No lock: many network file systems lack them, and SWMR needs none.
            self._file = h5py.File(self._temporary, "w", libver=_LIBRARY_VERSIONS, locking=False)

    def write_header(self, header: Header) -> None:
        """Set or replace the header."""
        with self._writing():
            if not self._is_published:
                self._datasets = _create_datasets(self._file, len(header.series))
                self._file.swmr_mode = True
            self._n_series = len(header.series)
            self._extend("header", seal(header.to_json()) + b"\n")
            self.flush()
            if not self._is_published:
                self._temporary.replace(self._path)
                self._is_published = True

    def append(self, block: Block) -> None:
        """Add a block."""
        check_block(block, self._n_series, self._last_iteration)
        if not len(block.iterations):
            return
        with self._writing():
            for name, values in columns_of(block).items():
                table = "iterations" if name.startswith("iterations/") else "recorded"
                self._write(name, self._counts[table], values)
            self._counts["iterations"] += len(block.iterations)
            self._counts["recorded"] += len(block.recorded)
            row = index_row(block, self._counts["iterations"], self._counts["recorded"])
            self._write("blocks", self._counts["blocks"], row[np.newaxis])
            self._counts["blocks"] += 1
            self._last_iteration = int(block.iterations["iteration"][-1])

    def append_tensors(self, tensors: Sequence[Tensor]) -> None:
        """Add full tensors."""
        arrays = [storable(tensor.values) for tensor in tensors]
        with self._writing():
            for tensor, array in zip(tensors, arrays, strict=True):
                entry = {
                    "iteration": tensor.iteration,
                    "series": tensor.series,
                    "dtype": array.dtype.name,
                    "shape": array.shape,
                    "offset": self._counts["tensor_data"],
                    "data_crc32": crc(array),
                }
                self._extend("tensor_data", array.tobytes())
                self._extend("tensor_index", seal(to_json(entry)) + b"\n")

    def append_events(self, events: Sequence[Event]) -> None:
        """Add events."""
        with self._writing():
            lines = (seal(to_json(event)) + b"\n" for event in events)
            self._extend("events", b"".join(lines))

    def flush(self) -> None:
        """Make everything appended so far readable for other processes."""
        with self._writing():
            self._file.flush()
            counts = np.array(list(self._counts.values()), dtype=np.int64)
            self._file["committed"][...] = with_checksum(counts)
            self._file.flush()

    def close(self) -> None:
        """Flush and close; a second call does nothing."""
        if self._file is None:
            return
        try:
            if self._is_published and not self._has_failed:
                self.flush()
        finally:
            file, self._file = self._file, None
            # A file that failed once fails again when HDF5 closes it; that was raised already.
            with suppress(OSError, RuntimeError) if self._has_failed else self._writing():
                file.close()
            self._temporary.unlink(missing_ok=True)

    def _extend(self, journal: str, data: bytes) -> None:
        self._write(journal, self._counts[journal], np.frombuffer(data, dtype=np.uint8))
        self._counts[journal] += len(data)

    def _write(self, name: str, start: int, values: NDArray[Any]) -> None:
        """Write rows from ``start`` on, growing the dataset as needed."""
        dataset, missing = self._datasets[name], _DATASETS[name].missing or 0
        old_shape = dataset.shape
        shape = tuple(map(max, old_shape, (start + len(values), *values.shape[1:])))
        if shape != old_shape:
            dataset.resize(shape)
        # Chunks that hold nothing but the fill value take no room: most counts are always 0.
        if (values != missing).any():
            dataset[(slice(start, start + len(values)), *map(slice, values.shape[1:]))] = values

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn every failure into a TraceWriteError; after one, nothing more is written."""
        if self._has_failed:
            raise TraceWriteError(f"{self._path}: not written, since an earlier write failed")
        try:
            yield
        except TraceError:
            raise
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            self._has_failed = True
            raise TraceWriteError(f"{self._path}: cannot be written: {_reason(error)}") from error


class Hdf5Reader:
    """Reads a trace, also while it is being written and after its process was killed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: Any = None
        try:
            self._file = h5py.File(path, "r", swmr=True, locking=False)
        except PermissionError as error:
            raise TraceReadError(f"{path}: cannot be read: {_reason(error)}") from error
        except (OSError, RuntimeError) as error:
            raise TraceFormatError(f"{path}: truncated or damaged: {_reason(error)}") from error
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
            recorded = self._column("statistics/recorded", _RECORDED, blocks)
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
        for name, column in _DATASETS.items():
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
        except _DAMAGE as error:
            raise TraceFormatError(f"{self._path}: damaged: {_reason(error)}") from error


# What h5py raises for a file whose structures do not fit together, and what nonsense in them
# leads to (MemoryError: an absurd size).
_DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, MemoryError)

_DATASETS = {
    **{name: Column(name, "uint8", "bytes", "") for name in JOURNALS},
    "blocks": Column("blocks", "int64", "rows", "bounds and checksums of each block"),
    **{f"iterations/{column.name}": column for column in ITERATIONS},
    "statistics/recorded": _RECORDED,
    **{f"statistics/{column.name}": column for column in STATISTICS},
}


def _create_datasets(file: Any, n_series: int) -> dict[str, Any]:
    """Create every dataset: none can be added once the file is in SWMR mode."""
    file.attrs["format"] = np.bytes_(FORMAT_NAME)
    file.attrs["format_version"] = FORMAT_VERSION
    file.create_dataset("committed", data=with_checksum(np.zeros(len(COUNTS), dtype=np.int64)))
    datasets = {}
    for name, column in _DATASETS.items():
        cells = _CHUNK_BYTES // column.numpy_dtype.itemsize
        shape: tuple[int, ...] = (0,)
        chunks: tuple[int, ...] = (cells // 4,)
        filters: dict[str, Any] = {}
        if name == "blocks":
            shape, chunks = (0, N_FIELDS), (cells // 4 // N_FIELDS, N_FIELDS)
        elif name.removeprefix("statistics/") in _names(STATISTICS):
            width = min(max(n_series, 16), 1024)
            shape, chunks = (0, n_series), (cells // width, width)
            if column.dtype == "int64":
                filters = {"shuffle": True, "compression": "gzip", "compression_opts": 1}
        datasets[name] = file.create_dataset(
            name,
            shape,
            column.numpy_dtype.newbyteorder("<"),
            maxshape=(None,) * len(shape),
            chunks=chunks,
            fillvalue=column.missing or 0,
            **filters,
        )
    return datasets


def _names(schema: tuple[Column, ...]) -> list[str]:
    return [column.name for column in schema]


def _range_of(numbers: NDArray[np.int64]) -> tuple[int, int]:
    """The first number and the one after the last; ``(0, 0)`` without any."""
    return (int(numbers[0]), int(numbers[-1]) + 1) if len(numbers) else (0, 0)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")


def _reason(error: BaseException) -> str:
    """The system's own words in an error of h5py, which wraps them in those of HDF5."""
    match = re.search(r"error message = '([^']*)'", str(error))
    return match[1] if match else getattr(error, "strerror", None) or str(error)
