"""From one storage format to the other, without loss and in bounded memory."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from .errors import TraceError, TraceExistsError
from .files import create_writer, open_reader, remove_trace
from .interface import Tensor, TraceReader, TraceWriter

CHUNK_ITERATIONS = 1024


def convert(source: str | Path, target: str | Path, overwrite: bool = False) -> None:
    """Copy a trace into the format that the target's suffix names.

    What is copied is what could be read of the source: a trace of a killed run stays the
    trace of a killed run.

    Raises
    ------
    TraceExistsError
        The target exists, or is the source itself.
    TraceError
        The source cannot be read or the target cannot be written; no partial target is left.
    """
    reader = open_reader(source)
    try:
        if Path(target).exists() and Path(target).samefile(source):
            raise TraceExistsError(f"{target}: a trace cannot be converted onto itself")
        writer = create_writer(target, overwrite)
        try:
            _copy(reader, writer)
            writer.close()
        except TraceError:
            with suppress(TraceError):
                writer.close()
            remove_trace(target)
            raise
    finally:
        reader.close()


def _copy(reader: TraceReader, writer: TraceWriter) -> None:
    writer.write_header(reader.header)
    for start in range(0, reader.n_iterations, CHUNK_ITERATIONS):
        writer.append(reader.read(start, start + CHUNK_ITERATIONS))
    for entry in reader.tensor_entries():
        writer.append_tensors([Tensor(entry.iteration, entry.series, reader.read_tensor(entry))])
    writer.append_events(reader.events())


def main(arguments: Sequence[str] | None = None) -> int:
    """The command ``deeplocalize-convert``: 0 when converted, 2 with one line when not."""
    parser = argparse.ArgumentParser(
        prog="deeplocalize-convert",
        description="Convert a trace between HDF5 (*.h5) and Parquet (*.parquet), losslessly.",
    )
    parser.add_argument("source", metavar="SOURCE", help="the trace to read")
    parser.add_argument("target", metavar="TARGET", help="the trace to write, by suffix")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing target")
    options = parser.parse_args(arguments)
    try:
        convert(options.source, options.target, options.overwrite)
    except TraceError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
