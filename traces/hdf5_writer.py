"""Writes a trace as one HDF5 file, flushed per block in single-writer-multiple-readers mode.

Which path may be written or overwritten is for ``files.py`` to decide.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from .blocks import columns_of, crc, index_row, with_checksum
from .errors import TraceError, TraceWriteError, refusal, write_error
from .hdf5 import (
    COUNTS,
    DATASETS,
    LIBRARY_VERSIONS,
    MARGIN_BYTES,
    create_datasets,
    reason,
    reserve,
    temporary,
    trim,
)
from .header import Header
from .histogram import Histogram, check_lengths
from .interface import Event, Tensor
from .seal import seal, to_json
from .table import Block, check_block
from .tensors import storable

# Disk space reserved for HDF5's own structures beside the values of one write.
_METADATA_BYTES = 1 << 13


class Hdf5Writer:
    """Writes a new trace; the file appears under its name with the first header."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = temporary(path)
        self._counts = dict.fromkeys(COUNTS, 0)
        self._last_iteration = -1
        self._n_series = 0
        self._is_published = False
        self._has_failed = False
        self._is_closed = False
        self._file: Any = None
        self._datasets: dict[str, Any] = {}
        self._flushed_size = self._reserved_size = self._unflushed_size = 0
        with self._writing():
            # Python's own errors name the reason better than HDF5's.
            self._temporary.touch()
            # No lock: many network file systems lack them, and SWMR needs none.
            self._file = h5py.File(self._temporary, "w", libver=LIBRARY_VERSIONS, locking=False)

    @property
    def n_bytes(self) -> int:
        """What the file took when it was last flushed."""
        return self._flushed_size

    def write_header(self, header: Header) -> None:
        """Set or replace the header."""
        with self._writing():
            if not self._is_published:
                self._reserve(len(DATASETS) * _METADATA_BYTES)
                self._datasets = create_datasets(self._file, len(header.series))
                # A trace is not to appear where not even one iteration finds room.
                columns = self._datasets.values()
                self._reserve(sum(_chunk_bytes(c, 0, (1, *c.shape[1:])) for c in columns))
                self._file.swmr_mode = True
            self._n_series = len(header.series)
            self._extend("header", seal(header.to_json()) + b"\n")
            self.flush()
            if not self._is_published:
                self._temporary.replace(self._path)
                self._is_published = True

    def append(self, block: Block) -> None:
        """Add a block."""
        self._check_header()
        check_block(block, self._n_series, self._last_iteration)
        if not len(block.iterations):
            return
        with self._writing():
            self._reserve_columns(block)
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
        self._check_header()
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

    def append_histograms(self, histograms: Sequence[Histogram]) -> None:
        """Add histograms."""
        self._check_header()
        check_lengths(histograms)
        self._append_lines("histograms", histograms)

    def append_events(self, events: Sequence[Event]) -> None:
        """Add events."""
        self._check_header()
        self._append_lines("events", events)

    def flush(self) -> None:
        """Make everything appended so far readable for other processes."""
        if not self._datasets:
            return
        with self._writing():
            self._file.flush()
            counts = np.array(list(self._counts.values()), dtype=np.int64)
            self._file["committed"][...] = with_checksum(counts)
            self._file.flush()
            self._flushed_size = self._file.id.get_filesize()
            # HDF5 cuts what is reserved behind its data when it flushes.
            self._reserved_size = self._unflushed_size = 0

    def close(self) -> None:
        """Flush and close; a second call does nothing."""
        if self._is_closed:
            return
        try:
            if not self._has_failed:
                self.flush()
        finally:
            self._is_closed = True
            # Everything that could be written is: closing only clears HDF5's mark of a file
            # being written, and fails once more where an earlier write did.
            with suppress(OSError, RuntimeError):
                self._file.close()
                if self._is_published:
                    trim(self._path)
            self._temporary.unlink(missing_ok=True)

    def _append_lines(self, journal: str, documents: Sequence[Event | Histogram]) -> None:
        with self._writing():
            lines = (seal(to_json(document)) + b"\n" for document in documents)
            self._extend(journal, b"".join(lines))

    def _extend(self, journal: str, data: bytes) -> None:
        self._write(journal, self._counts[journal], np.frombuffer(data, dtype=np.uint8))
        self._counts[journal] += len(data)

    def _write(self, name: str, start: int, values: NDArray[Any]) -> None:
        """Write rows from ``start`` on, growing the dataset as needed."""
        dataset, is_missing = self._datasets[name], _is_missing(name, values)
        self._reserve(0 if is_missing else _chunk_bytes(dataset, start, values.shape))
        old_shape = dataset.shape
        shape = tuple(map(max, old_shape, (start + len(values), *values.shape[1:])))
        if shape != old_shape:
            dataset.resize(shape)
        # Chunks that hold nothing but the fill value take no room: most counts are always 0.
        if not is_missing:
            dataset[(slice(start, start + len(values)), *map(slice, values.shape[1:]))] = values

    def _reserve_columns(self, block: Block) -> None:
        """Take all the room that a block needs, so that it is written whole or not at all."""
        n_bytes = 0
        for name, values in columns_of(block).items():
            table = "iterations" if name.startswith("iterations/") else "recorded"
            if not _is_missing(name, values):
                n_bytes += _chunk_bytes(self._datasets[name], self._counts[table], values.shape)
            n_bytes += _METADATA_BYTES
        unflushed = self._unflushed_size
        self._reserve(n_bytes)
        self._unflushed_size = unflushed

    def _reserve(self, n_bytes: int) -> None:
        """Make sure that there is room for that much more, unless it is known already."""
        unflushed = self._unflushed_size + n_bytes + _METADATA_BYTES
        size = unflushed + MARGIN_BYTES
        if size > self._reserved_size:
            try:
                reserve(self._file, self._flushed_size, size + MARGIN_BYTES)
            except OSError as error:
                # Nothing was written yet: whatever is smaller may still be.
                raise write_error(self._refusal(error), error) from error
            self._reserved_size = size + MARGIN_BYTES
        self._unflushed_size = unflushed

    def _check_header(self) -> None:
        if not self._is_published:
            raise ValueError(f"{self._path}: the header is written before anything else")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn every failure into a TraceWriteError; after one, nothing more is written."""
        if self._is_closed:
            raise ValueError(f"{self._path}: the trace is closed")
        if self._has_failed:
            raise TraceWriteError(f"{self._path}: not written, since an earlier write failed")
        try:
            yield
        except TraceError:
            raise
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            self._has_failed = True
            raise TraceWriteError(self._refusal(error)) from error

    def _refusal(self, error: BaseException) -> str:
        return refusal(self._path, reason(error), self._is_published)


def _is_missing(name: str, values: NDArray[Any]) -> bool:
    return bool((values == (DATASETS[name].missing or 0)).all())


def _chunk_bytes(dataset: Any, start: int, shape: tuple[int, ...]) -> int:
    """The size of all chunks that rows from ``start`` on touch, uncompressed."""
    n_chunks = (start + shape[0] - 1) // dataset.chunks[0] - start // dataset.chunks[0] + 1
    for length, chunk in zip(shape[1:], dataset.chunks[1:], strict=True):
        n_chunks *= -(-length // chunk)
    return int(n_chunks * math.prod(dataset.chunks) * dataset.dtype.itemsize)
