"""What an HDF5 trace looks like: its datasets, how they are made, told apart and repaired.

One dataset per column, all created up front, since none can be added once the file is in
single-writer-multiple-readers (SWMR) mode, whose ordering of writes keeps it readable whenever
the process dies. ``committed`` counts what is complete; it is written after the rows
themselves are flushed.
"""

import os
import re
import uuid
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .blocks import N_FIELDS, with_checksum
from .errors import DAMAGE, TraceFormatError, TraceWriteError
from .schema import FORMAT_VERSION, ITERATIONS, STATISTICS, Column
from .superblock import UnmarkedFile, read_superblock

FORMAT_NAME = "deeplocalize trace"

# New ones are added at the end: the counts of older versions are then the first ones.
JOURNALS = ("header", "events", "tensor_index", "tensor_data", "histograms")
ADDED = {"histograms": 3}  # journals that older format versions lack
COUNTS = ("iterations", "recorded", "blocks", *JOURNALS)
RECORDED = Column("recorded", "int64", "steps", "iteration of each row of the statistics")

# HDF5 1.10 introduced SWMR; a later upper bound would shut out older tools.
LIBRARY_VERSIONS = ("v110", "v110")
# Chunks are the least that a column takes, so that short traces are small; a quarter of it where
# a table has a single axis. Larger ones gain nothing in reading or writing, smaller ones cost both.
_CHUNK_BYTES = 1 << 14
# Except in wide tables: chunks of fewer rows take up to twice as long to unpack.
_CHUNK_ROWS = 16
# Disk space kept free for what HDF5 writes when it closes a file.
MARGIN_BYTES = 1 << 18

DATASETS = {
    **{name: Column(name, "uint8", "bytes", "") for name in JOURNALS},
    "blocks": Column("blocks", "int64", "rows", "bounds and checksums of each block"),
    **{f"iterations/{column.name}": column for column in ITERATIONS},
    "statistics/recorded": RECORDED,
    **{f"statistics/{column.name}": column for column in STATISTICS},
}


def open_file(path: Path) -> tuple[Any, bool]:
    """A file opened for reading, and whether it is marked as being written.

    Raises
    ------
    TraceFormatError
        Not an HDF5 file as traces are, or a damaged one.
    OSError, RuntimeError
        As HDF5 finds it damaged, or the system refuses.
    """
    superblock = read_superblock(path)
    if superblock.is_marked:
        return h5py.File(UnmarkedFile(path, superblock), "r"), True
    n_bytes = path.stat().st_size
    if n_bytes < superblock.end_of_file:
        raise TraceFormatError(
            f"{path}: truncated: {n_bytes} of its {superblock.end_of_file} bytes are there"
        )
    return h5py.File(path, "r", locking=False), False


def is_trace(path: Path) -> bool:
    """Whether the file says of itself that it is a trace (it may still be damaged)."""
    try:
        file, _ = open_file(path)
        with file:
            return has_format(file)
    except DAMAGE:
        return False


def has_format(file: Any) -> bool:
    """Whether an HDF5 file is a trace."""
    return bool(file.attrs.get("format") == np.bytes_(FORMAT_NAME))


def repair(path: Path) -> None:
    """Clear the mark that a killed process left on its trace.

    `Hdf5Reader` does not need it; other tools refuse a file that counts as being written.
    Never call it while the run is alive.

    Raises
    ------
    TraceFormatError
        Not an HDF5 trace, or damaged.
    TraceWriteError
        The file cannot be written.
    """
    if not is_trace(path):
        raise TraceFormatError(f"{path}: not a trace in HDF5, or damaged beyond repair")
    superblock = read_superblock(path).unmarked(path.stat().st_size)
    try:
        with path.open("r+b") as file:
            file.write(superblock.to_bytes())
    except OSError as error:
        raise TraceWriteError(f"{path}: cannot be repaired: {error.strerror}") from error


def create_datasets(file: Any, n_series: int) -> dict[str, Any]:
    """Create every dataset: none can be added once the file is in SWMR mode."""
    file.attrs["format"] = np.bytes_(FORMAT_NAME)
    file.attrs["format_version"] = FORMAT_VERSION
    file.create_dataset("committed", data=with_checksum(np.zeros(len(COUNTS), dtype=np.int64)))
    datasets = {}
    for name, column in DATASETS.items():
        cells = _CHUNK_BYTES // column.numpy_dtype.itemsize
        shape: tuple[int, ...] = (0,)
        chunks: tuple[int, ...] = (cells // 4,)
        filters: dict[str, Any] = {}
        if name == "blocks":
            shape, chunks = (0, N_FIELDS), (cells // 4 // N_FIELDS, N_FIELDS)
        elif name.removeprefix("statistics/") in _names(STATISTICS):
            width = min(max(n_series, 16), 1024)
            shape, chunks = (0, n_series), (max(cells // width, _CHUNK_ROWS), width)
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


def reserve(file: Any, start: int, n_bytes: int) -> None:
    """Take disk space before HDF5 does; OSError where there is none.

    A full disk or quota is thus met here. Met inside HDF5, the file can neither be flushed nor
    closed any more, and the process (the user's training) crashes at its exit.
    """
    # Not on macOS, where a full disk therefore still ends that way.
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.id.get_vfd_handle(), start, n_bytes)


def trim(path: Path) -> None:
    """Give back what was reserved behind the end of a closed file."""
    os.truncate(path, read_superblock(path).end_of_file)


def temporary(path: Path) -> Path:
    """A new name beside ``path`` under which to prepare what will replace it."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")


def reason(error: BaseException) -> str:
    """The system's own words in an error of h5py, which wraps them in those of HDF5."""
    match = re.search(r"error message = '([^']*)'", str(error))
    return match[1] if match else getattr(error, "strerror", None) or str(error)
