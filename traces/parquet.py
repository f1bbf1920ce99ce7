"""What a Parquet trace looks like: a directory, the tables in it, and how their parts are named.

Every block becomes one part file per table, written under a temporary name and renamed; the
part of the iterations comes last and commits the block. A part's name tells which rows it
holds and the CRC-32 of its bytes, so that a reader lists a long trace without opening it, and
parses nothing but what was written.
"""

import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from . import longform
from .schema import EVENTS, HISTOGRAMS, ITERATIONS, STATISTICS, TABLES, TENSORS, Column

HEADER = "header.json"

PART_NAME = re.compile(r"(\d{12})-(\d{12})\.([0-9a-f]{8})\.parquet")

ARROW_TYPES = {"json": pa.string(), "bytes": pa.binary()}


def _arrow_schema(columns: Iterable[Column]) -> pa.Schema:
    return pa.schema(
        pa.field(c.name, ARROW_TYPES.get(c.dtype) or pa.type_for_alias(c.dtype), nullable=False)
        for c in columns
    )


_RECORDED = Column("recorded", "bool", "", "whether the statistics have a row for it")
COLUMNS = {
    "iterations": (*ITERATIONS, _RECORDED),
    "statistics": (*longform.KEYS, *STATISTICS),
    "tensors": TENSORS,
    "histograms": HISTOGRAMS,
    "events": EVENTS,
}
SCHEMAS = {table: _arrow_schema(columns) for table, columns in COLUMNS.items()}


@dataclass(frozen=True)
class Part:
    """A part file: rows ``start`` to ``stop`` of its table (iterations, for the statistics)."""

    path: Path
    start: int
    stop: int
    checksum: int


def is_trace(path: Path) -> bool:
    """Whether the directory holds a trace (it may be damaged) and nothing else."""
    if path.is_symlink() or not path.is_dir():
        return False
    try:
        is_headed = "format_version" in json.loads((path / HEADER).read_bytes())
        files = [file.relative_to(path) for file in path.rglob("*") if not file.is_dir()]
    except (OSError, ValueError, TypeError):
        return False
    return is_headed and all(map(_is_ours, files))


def move(prepared: Path, path: Path) -> None:
    """Rename a directory, in the place of an older trace if there is one; OSError as it comes."""
    older = prepared.with_name(f"{prepared.name}.older")
    if path.exists():
        path.rename(older)
    prepared.rename(path)
    shutil.rmtree(older, ignore_errors=True)


def _is_ours(file: Path) -> bool:
    """Whether a file of the directory is one that a trace has, perhaps under a temporary name."""
    name = file.name.removeprefix(".")
    if file.parent == Path():
        return name == HEADER
    return file.parent.as_posix() in TABLES and PART_NAME.fullmatch(name) is not None
