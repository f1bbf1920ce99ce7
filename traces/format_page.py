"""``docs/format.md``, written from the schema: ``python -m deeplocalize.traces.format_page``."""

import sys
from collections.abc import Iterable, Sequence

from . import hdf5, parquet
from .blocks import BOUNDS
from .blocks import COLUMNS as BLOCK_COLUMNS
from .schema import FORMAT_VERSION, HISTORY, KINDS, TABLES, Column, Phase

_TABLE_NOTES = {
    "iterations": "One row per training step, in order; iterations increase strictly.",
    "statistics": (
        "One row per recorded iteration and series. A schedule may leave iterations out; a series "
        "that was not recorded has `n` = -1. Moments are over the finite values."
    ),
    "tensors": "Full values of a series in one iteration, where the schedule or a trigger asked.",
    "histograms": (
        "How the elements of a series spread over the powers of two in one iteration, where it was "
        "asked for."
    ),
    "events": "What happened besides: the last one is `end`, unless the process was killed.",
}

_PAGE = """# The trace format

<!-- Written by `python -m deeplocalize.traces.format_page > docs/format.md`. Edit that. -->

A trace is what a training run leaves behind: a header, five tables, in one of two storage
formats that hold exactly the same. `trace.h5` is one HDF5 file; `trace.parquet/` is a directory
of Parquet files. `deeplocalize-convert SOURCE TARGET` turns one into the other without loss.
In Python, `deeplocalize.traces.open_trace` opens either.

## Versions

This release writes version {version} and reads 1 to {version}. A newer version is refused with
`TraceVersionError`; unknown fields of the header are ignored.

{history}

## Header

One JSON object with `crc32`, the CRC-32 (8 hexadecimal digits) of everything in the line after
`"crc32": "........", `, then `format_version`, and the fields of `deeplocalize.traces.Header`:
the model with its `layers` in the order of the forward pass, loss, optimizer, metrics, versions,
the `schedule` (what was recorded when), `data` (what inputs and targets looked like, and their
features one by one), `unrecorded` (what was left out, and why), `opening` (null, or how much of the
first epoch is kept in full so that it can be trained on again, and what stands in the way of that),
and `series`. A series is one tensor followed over the iterations: its `kind`, its `layer` (an index
into `layers`, or null), the `call` of a shared layer, the `tensor`'s name, and its `position` in
the execution order of one iteration. Where it is `replayed`, its values come from replays of the
step in some iterations, and the series of kind `replay_error` in these iterations say whether the
replay was the step bit by bit. Series may be added during a run, at the end; the last header
counts. NaN and infinities are written as `NaN`, `Infinity`, `-Infinity`.

### Kinds

{kinds}

The phases of one iteration are, in order: {phases}.

## Tables

A value in the column *missing* stands for "not recorded".

{tables}

## HDF5

HDF5 1.10 or later, written in single-writer-multiple-readers (SWMR) mode. The attributes of the
root are `format` = `{format_name}` and `format_version`.

{datasets}

- `statistics/*` have the shape (recorded iterations, series); `statistics/recorded` tells the
  iteration of each row. Counts are compressed (shuffle, gzip 1), and chunks that are missing
  throughout are left out; floating-point columns and checksums lie there as they are, in chunks
  of 16 KiB.
- `committed` counts what is complete: {counts}, and a CRC-32 of these numbers. It is written and
  flushed after everything that it counts; whatever lies behind its counts is no part of the
  trace.
- `header`, `events`, `histograms` and `tensor_index` are journals: lines of JSON, each with its
  `crc32`. An entry of `tensor_index` says at which `offset` of `tensor_data` the values stand, and
  their `data_crc32`.
- `blocks` has one row per block, as it was appended: {bounds}, then a CRC-32 of the block's values
  in each column ({block_columns}), then a CRC-32 of the row itself.

A file whose process was killed stays marked as being written. `open_trace` does not mind; for
other tools `open_trace(path, repair=True)` clears the mark.

## Parquet

{layout}

- A part's name is `FIRST-LAST.CRC32.parquet`: the rows that it holds, from `FIRST` to before
  `LAST`, and the CRC-32 of its bytes. Parts follow one another without a gap.
- A part of `statistics` counts iterations in its name, as the part of `iterations` beside it. It is
  in long form, with the columns `iteration` and `series` in front, and has rows only for cells
  in which something was recorded. `iterations` has a column `recorded` more: whether the
  statistics have rows for this iteration.
- Columns of JSON are strings; tensors are bytes. Compression is zstd.
- Every file is written under a name that begins with a dot and then renamed.

## When the process is killed

Nothing that was flushed is lost, and nothing has to be repaired before reading. At most the block
being collected, the one being written, and what still waits within TensorFlow (32 steps at most,
of 20 milliseconds) are missing, and there is no `end` event.

- HDF5: SWMR mode orders the writes so that the file is consistent whenever they stop; `committed`
  then still has the counts of the last flush.
- Parquet: a block counts when its part of `iterations`, which is renamed last, has its name. Files
  with a leading dot and parts of `statistics` behind the last part of `iterations` are ignored.

This holds for a killed process (`kill -9`, out of memory), whose written bytes the system still
has. Files are not synchronized to the disk, so that a power failure may take more.

A full disk or quota raises `TraceWriteError` in the writer, which then writes nothing more; what
was flushed before stays readable.

## Damage

Every value is covered by a checksum. A damaged file gives a `TraceFormatError` when the damaged
part is read, or the right data; the rest stays readable.
"""


def format_page() -> str:
    """The page as Markdown, ending in a newline."""
    return _PAGE.format(
        version=FORMAT_VERSION,
        history=_table(("version", "change"), [(str(v), text) for v, text in HISTORY]),
        kinds=_table(
            ("kind", "phase", "meaning"),
            [(f"`{kind}`", info.phase, info.meaning) for kind, info in KINDS.items()],
        ),
        phases=", ".join(f"`{phase}`" for phase in Phase),
        tables="\n\n".join(
            f"### `{name}`\n\n{_TABLE_NOTES[name]}\n\n{_columns_table(columns)}"
            for name, columns in TABLES.items()
        ),
        format_name=hdf5.FORMAT_NAME,
        datasets=_table(
            ("dataset", "dtype"),
            [(f"`{name}`", column.dtype) for name, column in hdf5.DATASETS.items()]
            + [("`committed`", "int64")],
        ),
        counts=", ".join(f"`{name}`" for name in hdf5.COUNTS),
        bounds=", ".join(BOUNDS),
        block_columns=f"`{BLOCK_COLUMNS[0]}` to `{BLOCK_COLUMNS[-1]}`",
        layout=_layout(),
    )


def _columns_table(columns: Sequence[Column]) -> str:
    rows = [
        (f"`{c.name}`", c.dtype, c.unit, "" if c.missing is None else f"{c.missing}", c.meaning)
        for c in columns
    ]
    return _table(("column", "dtype", "unit", "missing", "meaning"), rows)


def _layout() -> str:
    """The directory of a Parquet trace, as a tree."""
    name = "000000000000-000000000064.0a1b2c3d.parquet"
    lines = ["run.parquet/", f"├── {parquet.HEADER}"]
    for table in TABLES:
        branch = "└" if table == list(TABLES)[-1] else "├"
        lines.append(f"{branch}── {table}/{name}, ...")
    return "\n".join(["```", *lines, "```"])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(format_page())
