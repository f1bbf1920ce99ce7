"""From one storage format to the other, without loss and in bounded memory."""

import argparse
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from .errors import TraceError, TraceExistsError, TraceFormatError
from .files import create_writer, open_reader, remove_trace, replace_trace
from .interface import Tensor, TraceReader, TraceWriter

CHUNK_ITERATIONS = 1024
GROUP_BYTES = 1 << 24

INTERRUPTED = 130
"""Exit code after Ctrl-C, as the shell counts it."""


def convert(source: str | Path, target: str | Path, overwrite: bool = False) -> None:
    """Copy a trace into the format that the target's suffix names.

    What is copied is what could be read of the source: a trace of a killed run stays the
    trace of a killed run.

    Raises
    ------
    TraceExistsError
        The target exists, or is the source itself.
    TraceError
        The source cannot be read or the target cannot be written. What stood under the target's
        name is still there.
    """
    target = Path(target)
    reader = open_reader(source)
    try:
        if target.exists() and target.samefile(source):
            raise TraceExistsError(f"{target}: a trace cannot be converted onto itself")
        create_writer(target, overwrite).close()  # refuses what may not be written there
        prepared = target.with_name(f".{target.stem}.{uuid.uuid4().hex[:12]}{target.suffix}")
        writer = create_writer(prepared)
        try:
            _copy(reader, writer, str(source))
            writer.close()
            replace_trace(prepared, target)
        except BaseException:
            with suppress(TraceError):
                writer.close()
            remove_trace(prepared)
            raise
    finally:
        reader.close()


def _copy(reader: TraceReader, writer: TraceWriter, source: str) -> None:
    writer.write_header(reader.header)
    last = -1
    for start in range(0, reader.n_iterations, CHUNK_ITERATIONS):
        block = reader.read(start, start + CHUNK_ITERATIONS)
        if block.iterations["iteration"][0] <= last:
            raise TraceFormatError(f"{source}: damaged: the iterations do not increase")
        last = int(block.iterations["iteration"][-1])
        writer.append(block)
    for tensors in _in_groups(reader):
        writer.append_tensors(tensors)
    histograms = reader.histograms()
    while some := list(islice(histograms, CHUNK_ITERATIONS)):
        writer.append_histograms(some)
    writer.append_events(reader.events())


def _in_groups(reader: TraceReader) -> Iterator[list[Tensor]]:
    """All full tensors, so many at a time as take `GROUP_BYTES`."""
    group: list[Tensor] = []
    n_bytes = 0
    for entry in reader.tensor_entries():
        values = reader.read_tensor(entry)
        group.append(Tensor(entry.iteration, entry.series, values))
        n_bytes += values.nbytes
        if n_bytes >= GROUP_BYTES:
            yield group
            group, n_bytes = [], 0
    if group:
        yield group


def main(arguments: Sequence[str] | None = None) -> int:
    """The command ``deeplocalize-convert``.

    0 when converted, 2 with one line when not, 130 when interrupted.
    """
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
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
