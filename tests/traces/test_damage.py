"""Damaged traces: a TraceFormatError or the right data, never anything else.

The damage is random but seeded; the number of trials keeps the suite short.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from deeplocalize.traces import (
    Event,
    Tensor,
    TraceFormatError,
    TraceLookupError,
    create_writer,
    open_reader,
    open_trace,
)
from deeplocalize.traces.blocks import with_checksum
from deeplocalize.traces.hdf5 import COUNTS
from deeplocalize.traces.interface import lost_tensors

from .build import assert_same_trace, block, header, write_trace

N_TRIALS = 40


@pytest.fixture
def whole(path: Path) -> Path:
    """A trace with something in every table."""
    writer = create_writer(path.with_name(f"whole{path.suffix}"))
    writer.write_header(header())
    for i in range(6):
        writer.append(block(4 * i))
        writer.append_events([Event("note", f"block {i}", details={"i": i})])
        writer.append_tensors([Tensor(4 * i, 1, np.arange(100.0))])
    writer.close()
    return path.with_name(f"whole{path.suffix}")


def flip_a_bit(data: bytearray, random: np.random.Generator) -> None:
    data[random.integers(len(data))] ^= 1 << random.integers(8)


def overwrite_a_run(data: bytearray, random: np.random.Generator) -> None:
    start, stop = _run(data, random, longest=600)
    data[start:stop] = random.bytes(stop - start)


def zero_a_run(data: bytearray, random: np.random.Generator) -> None:
    start, stop = _run(data, random, longest=5000)
    data[start:stop] = bytes(stop - start)


def truncate(data: bytearray, random: np.random.Generator) -> None:
    del data[random.integers(len(data)) :]


@pytest.mark.parametrize("damage", [flip_a_bit, overwrite_a_run, zero_a_run, truncate])
def test_a_damaged_trace_is_refused_or_read_rightly(
    whole: Path, path: Path, damage: Callable[[bytearray, np.random.Generator], None]
) -> None:
    random = np.random.default_rng(0)
    outcomes = {"read rightly": 0, "refused": 0}
    for _ in range(N_TRIALS):
        _copy(whole, path)
        files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
        file = files[random.integers(len(files))]
        data = bytearray(file.read_bytes())
        damage(data, random)
        file.write_bytes(data)
        outcomes[_read_everything(path, whole)] += 1
    assert outcomes["refused"]


def test_a_missing_part_is_noticed(tmp_path: Path) -> None:
    for table in ("iterations", "statistics"):
        path = tmp_path / f"{table}.parquet"
        write_trace(path, n_blocks=3)
        sorted((path / table).iterdir())[1].unlink()
        with pytest.raises(TraceFormatError, match="missing"):
            open_reader(path)


def test_parts_that_were_not_committed_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    write_trace(path, n_blocks=3)
    sorted((path / "iterations").iterdir())[-1].unlink()
    (path / "iterations" / ".000000000012-000000000016.00000000.parquet").write_bytes(b"half")
    assert open_reader(path).n_iterations == 8


def test_counts_that_the_file_cannot_hold_are_refused_before_memory_is_taken(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run.h5"
    write_trace(path)
    with h5py.File(path, "r+") as file:
        counts = file["committed"][:-1]
        counts[COUNTS.index("events")] = 1 << 50
        file["committed"][...] = with_checksum(counts)
    with pytest.raises(TraceFormatError, match="counts"):
        open_reader(path)


def test_blocks_that_the_file_cannot_hold_are_refused_before_memory_is_taken(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run.h5"
    write_trace(path)
    with h5py.File(path, "r+") as file:
        row = file["blocks"][-1, :-1]
        counts = file["committed"][:-1]
        row[:2] = counts[:2] = 1 << 40
        file["blocks"][-1] = with_checksum(row)
        file["committed"][...] = with_checksum(counts)
        for dataset in [*file["iterations"].values(), *file["statistics"].values()]:
            dataset.resize(1 << 40, axis=0)
    with pytest.raises(TraceFormatError, match="counts"):
        open_reader(path)


def _run(data: bytearray, random: np.random.Generator, longest: int) -> tuple[int, int]:
    start = int(random.integers(len(data)))
    return start, min(start + int(random.integers(1, longest)), len(data))


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def _read_everything(path: Path, whole: Path) -> str:
    try:
        reader = open_reader(path)
    except TraceFormatError:
        return "refused"
    expected = open_reader(whole)
    try:
        assert_same_trace(reader, expected)
    except TraceFormatError:
        return "refused"
    finally:
        reader.close()
        expected.close()
    return "read rightly"


@pytest.mark.parametrize("n_bytes", [100, 3000])
def test_a_file_that_was_cut_says_how_much_of_it_is_there(n_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    write_trace(path)
    size = path.stat().st_size
    os.truncate(path, n_bytes)
    with pytest.raises(TraceFormatError) as raised:
        open_reader(path)
    assert str(raised.value) == f"{path}: truncated: {n_bytes} of its {size} bytes are there"


def test_a_folder_without_its_iterations_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    write_trace(path)
    shutil.rmtree(path / "iterations")
    with pytest.raises(TraceFormatError, match="its folder iterations is missing"):
        open_reader(path)


@pytest.mark.parametrize("n_left", [0, 2])
def test_tensors_that_were_kept_and_are_gone_are_told_as_missing(
    n_left: int, tmp_path: Path
) -> None:
    path = tmp_path / "run.parquet"
    writer = create_writer(path)
    writer.write_header(header())
    for i in range(3):
        writer.append_tensors([Tensor(i, 0, np.arange(3.0))])
    writer.append_events([Event("anomaly", "tensors are kept", 2, details={"kept": [0, 1, 2]})])
    writer.close()
    with open_trace(path) as trace:
        assert lost_tensors(trace.reader, trace.reader.events()) == []
    for part in sorted((path / "tensors").iterdir())[n_left:]:
        part.unlink()
    with open_trace(path) as trace:
        assert lost_tensors(trace.reader, trace.reader.events()) == [0, 1, 2][n_left:]
        with pytest.raises(TraceLookupError, match="what was kept of iteration 2 is missing"):
            trace.tensor(2, "fc", "weight", "w0")
        with pytest.raises(TraceLookupError, match=r"no full .* in iteration 7; there is"):
            trace.tensor(7, "fc", "weight", "w0")
