"""Writes a trace as a directory of Parquet files, one part per block and table.

Which path may be written or overwritten is for ``files.py`` to decide.
"""

import io
import json
import shutil
import uuid
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from . import longform
from .errors import TraceFullError, TraceWriteError, refusal, write_error
from .header import Header
from .histogram import Histogram, check_lengths
from .interface import Event, Tensor
from .parquet import HEADER, SCHEMAS, move
from .schema import EVENTS, HISTOGRAMS, ITERATIONS, TABLES, Column
from .seal import seal, to_json
from .table import Block, check_block
from .tensors import storable

# Of a group of tensors appended together one part holds about this much: reading one of them
# verifies the whole part.
_TENSOR_PART_BYTES = 1 << 23


class ParquetWriter:
    """Writes a new trace; the directory appears under its name with the first header."""

    def __init__(self, path: Path) -> None:
        self._path = path
        unique = uuid.uuid4().hex[:12]
        self._directory = self._temporary = path.with_name(f".{path.name}.{unique}")
        self._n_rows = dict.fromkeys(TABLES, 0)
        self._last_iteration = -1
        self._n_series = 0
        self._has_failed = False
        self._is_closed = False
        with self._writing():
            self._temporary.mkdir()
            for table in TABLES:
                (self._temporary / table).mkdir()

    @property
    def n_bytes(self) -> int:
        """What the parts written so far take together."""
        return sum(part.stat().st_size for part in self._path.rglob("*") if part.is_file())

    def write_header(self, header: Header) -> None:
        """Set or replace the header."""
        with self._writing():
            _write_file(self._directory / HEADER, seal(header.to_json()))
            self._n_series = len(header.series)
            if self._directory != self._path:
                self._publish()

    def append(self, block: Block) -> None:
        """Add a block."""
        self._check_header()
        check_block(block, self._n_series, self._last_iteration)
        if not len(block.iterations):
            return
        with self._writing():
            n_rows = len(block.iterations)
            part = self._write_part("statistics", longform.to_long(block), n_rows)
            try:
                self._write_part("iterations", _flagged_iterations(block), n_rows)
            except OSError:
                part.unlink()
                self._n_rows["statistics"] -= n_rows
                raise
            self._last_iteration = int(block.iterations["iteration"][-1])

    def append_tensors(self, tensors: Sequence[Tensor]) -> None:
        """Add full tensors."""
        self._check_header()
        arrays = [storable(tensor.values) for tensor in tensors]
        with self._writing():
            for part in _split(arrays, _TENSOR_PART_BYTES):
                columns = _tensor_columns(tensors[part], arrays[part])
                self._write_part("tensors", columns, part.stop - part.start)

    def append_histograms(self, histograms: Sequence[Histogram]) -> None:
        """Add histograms."""
        self._check_header()
        check_lengths(histograms)
        if not histograms:
            return
        with self._writing():
            self._write_part("histograms", _columns(HISTOGRAMS, histograms), len(histograms))

    def append_events(self, events: Sequence[Event]) -> None:
        """Add events."""
        self._check_header()
        if not events:
            return
        with self._writing():
            self._write_part("events", _columns(EVENTS, events), len(events))

    def flush(self) -> None:
        """Do nothing: what was appended can be read already."""

    def close(self) -> None:
        """End writing; a second call does nothing."""
        self._is_closed = True
        if self._directory != self._path:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _publish(self) -> None:
        """Let the directory appear, in the place of an older trace if there is one."""
        move(self._temporary, self._path)
        self._directory = self._path

    def _write_part(self, table: str, columns: dict[str, Any], n_rows: int) -> Path:
        """Write the next part of a table, and return it; it counts as soon as it has its name.

        ``n_rows`` are those that its name counts: iterations, also for the statistics.
        """
        stream = io.BytesIO()
        pq.write_table(
            pa.table(columns, schema=SCHEMAS[table]),
            stream,
            compression="zstd",
            compression_level=1,
            # Dictionaries shrink counts; moments and checksums hardly ever repeat.
            use_dictionary=[f.name for f in SCHEMAS[table] if f.type == pa.int64()],
        )
        data = stream.getvalue()
        first = self._n_rows[table]
        name = f"{first:012d}-{first + n_rows:012d}.{zlib.crc32(data):08x}.parquet"
        path = self._directory / table / name
        _write_file(path, data)
        self._n_rows[table] += n_rows
        return path

    def _check_header(self) -> None:
        if self._directory != self._path:
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
        except (OSError, pa.ArrowException) as error:
            reason = getattr(error, "strerror", None) or error
            message = refusal(self._path, reason, self._directory == self._path)
            refused = write_error(message, error)
            self._has_failed = not isinstance(refused, TraceFullError)
            raise refused from error


def _flagged_iterations(block: Block) -> dict[str, Any]:
    """The iterations table, with a column that says which have statistics."""
    columns = {column.name: block.iterations[column.name] for column in ITERATIONS}
    return {**columns, "recorded": np.isin(columns["iteration"], block.recorded)}


def _tensor_columns(tensors: Sequence[Tensor], arrays: Sequence[NDArray[Any]]) -> dict[str, Any]:
    return {
        "iteration": [tensor.iteration for tensor in tensors],
        "series": [tensor.series for tensor in tensors],
        "dtype": [json.dumps(array.dtype.name) for array in arrays],
        "shape": [json.dumps(array.shape) for array in arrays],
        "data": [array.tobytes() for array in arrays],
    }


def _columns(schema: Sequence[Column], rows: Sequence[Event | Histogram]) -> dict[str, Any]:
    return {
        column.name: [
            to_json(getattr(row, column.name))
            if column.dtype == "json"
            else getattr(row, column.name)
            for row in rows
        ]
        for column in schema
    }


def _split(arrays: Sequence[NDArray[Any]], n_bytes: int) -> Iterator[slice]:
    """Runs of arrays of at least ``n_bytes`` together, but for the last."""
    start = size = 0
    for i, array in enumerate(arrays):
        size += array.nbytes
        if size >= n_bytes or i == len(arrays) - 1:
            yield slice(start, i + 1)
            start, size = i + 1, 0


def _write_file(path: Path, data: bytes) -> None:
    """Write a file so that it is whole as soon as it has its name."""
    temporary = path.with_name(f".{path.name}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
