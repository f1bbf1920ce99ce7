"""Which format a path means, and what may be written or overwritten there."""

import shutil
from pathlib import Path

from . import hdf5, parquet
from .errors import (
    TraceExistsError,
    TraceFormatError,
    TraceNotFoundError,
    TraceReadError,
    TraceWriteError,
)
from .hdf5_reader import Hdf5Reader
from .hdf5_writer import Hdf5Writer
from .interface import TraceReader, TraceWriter
from .parquet_reader import ParquetReader
from .parquet_writer import ParquetWriter

HDF5_SUFFIXES = (".h5", ".hdf5")
PARQUET_SUFFIXES = (".parquet",)

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_PARQUET_SIGNATURE = b"PAR1"


def create_writer(path: str | Path, overwrite: bool = False) -> TraceWriter:
    """A writer of a new trace: HDF5 for ``*.h5``, Parquet for ``*.parquet``.

    The trace appears under its name with the first header; until then an older trace that is to
    be overwritten stays.

    Raises
    ------
    TraceExistsError
        Something is there already; with ``overwrite``, something that is not a trace.
    TraceFormatError
        The suffix names no trace format.
    TraceWriteError
        The path cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in HDF5_SUFFIXES + PARQUET_SUFFIXES:
        raise TraceFormatError(
            f"{path}: cannot tell the format of a new trace; end its name in "
            f"{', '.join(HDF5_SUFFIXES)} (one file) or {PARQUET_SUFFIXES[0]} (a directory)"
        )
    is_hdf5 = suffix in HDF5_SUFFIXES
    if _exists(path):
        if not overwrite:
            raise TraceExistsError(
                f"{path}: exists already; choose another name, or overwrite it "
                "(overwrite=True, --overwrite)"
            )
        if not (hdf5 if is_hdf5 else parquet).is_trace(path):
            raise TraceExistsError(
                f"{path}: not overwritten, since it is not recognizably a trace of this format; "
                "remove it yourself or choose another name"
            )
    return Hdf5Writer(path) if is_hdf5 else ParquetWriter(path)


def open_reader(path: str | Path) -> TraceReader:
    """A reader of the trace at a path, whose format its content tells.

    Raises
    ------
    TraceNotFoundError
        There is nothing.
    TraceReadError
        The system does not let us read it.
    TraceVersionError
        It was written by a newer release.
    TraceFormatError
        It is not a trace, or it is damaged; or the path is empty.
    """
    if path == "":  # as a shell's variable is that was never set; to `Path` it is the directory
        raise TraceFormatError("an empty path; give that of a trace, such as run.h5")
    path = Path(path)
    if not _exists(path):
        raise TraceNotFoundError(f"{path}: no such trace")
    if path.is_dir():
        return ParquetReader(path)
    try:
        with path.open("rb") as file:
            start = file.read(len(_HDF5_SIGNATURE))
    except OSError as error:
        raise TraceReadError(f"{path}: cannot be read: {error.strerror}") from error
    if start == _HDF5_SIGNATURE:
        return Hdf5Reader(path)
    if not start:
        raise TraceFormatError(f"{path}: an empty file, not a trace")
    if start.startswith(_PARQUET_SIGNATURE):
        raise TraceFormatError(
            f"{path}: a single Parquet file; a Parquet trace is a directory *.parquet, open that"
        )
    raise TraceFormatError(f"{path}: not a trace (neither an HDF5 file nor a directory of Parquet)")


def remove_trace(path: str | Path) -> None:
    """Delete a trace, and nothing else: a path that holds something different stays."""
    path = Path(path)
    if parquet.is_trace(path):
        shutil.rmtree(path)
    elif path.is_file() and hdf5.is_trace(path):
        path.unlink()


def replace_trace(prepared: Path, path: Path) -> None:
    """Let a trace stand under another name, in the place of what is there.

    Raises
    ------
    TraceWriteError
        The system refuses.
    """
    try:
        if prepared.is_dir():
            parquet.move(prepared, path)
        else:
            prepared.replace(path)
    except OSError as error:
        raise TraceWriteError(f"{path}: cannot be written: {error.strerror}") from error


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise TraceReadError(f"{path}: cannot be read: {error.strerror}") from error
