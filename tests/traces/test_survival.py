"""What is left of a trace when its process is killed or its disk is full."""

import resource
import subprocess
import sys
from pathlib import Path
from threading import Event as Signal

import h5py
import numpy as np
import pytest

from deeplocalize.traces import (
    TraceError,
    TraceFormatError,
    TraceFullError,
    TraceWriteError,
    create_writer,
    open_reader,
    open_trace,
    parquet_writer,
)
from deeplocalize.traces.hdf5 import repair

from .build import assert_same, block, header, joined, write_trace
from .writing import N_ROWS, N_SERIES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("trial", range(4))
def test_a_killed_process_loses_nothing_that_it_flushed(path: Path, trial: int) -> None:
    n_flushed = _killed(path, trial)
    with open_trace(path) as trace:
        assert trace.n_iterations >= n_flushed
        assert trace.n_iterations % N_ROWS == 0
        assert trace.ended is None
        firsts = range(0, trace.n_iterations, N_ROWS)
        assert_same(trace.reader.read(), joined(*(block(i, N_ROWS, N_SERIES) for i in firsts)))
        assert len(trace.events) >= n_flushed // N_ROWS
        entries = trace.reader.tensor_entries()
        assert len(entries) >= n_flushed // N_ROWS
        for entry in entries:
            expected = block(entry.iteration, N_ROWS, N_SERIES).statistics["rms"]
            np.testing.assert_array_equal(trace.reader.read_tensor(entry), expected)


def test_a_trace_is_read_while_it_is_written(path: Path) -> None:
    with _writing(path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        reader = open_reader(path)
        for _ in range(20):
            n_flushed = int(process.stdout.readline())
            reader.refresh()
            assert reader.n_iterations >= n_flushed
            found = reader.read(n_flushed - N_ROWS, n_flushed)
            assert_same(found, block(n_flushed - N_ROWS, N_ROWS, N_SERIES))
        process.kill()


def test_repairing_lets_other_tools_open_the_trace_of_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    _killed(path, seed=0)
    expected = open_reader(path).read()
    with pytest.raises(OSError, match="already open for write"):
        h5py.File(path, "r")
    repair(path)
    with h5py.File(path, "r") as file:
        rows = file["iterations/loss"][: len(expected.iterations)]
    np.testing.assert_array_equal(rows, expected.iterations["loss"])
    assert_same(open_reader(path).read(), expected)


def test_a_trace_is_repaired_while_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    _killed(path, seed=0)
    with open_trace(path, repair=True) as trace:
        assert trace.n_iterations
    h5py.File(path, "r").close()


def test_repairing_changes_nothing_in_a_trace_that_was_closed(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    write_trace(path)
    before = path.read_bytes()
    repair(path)
    assert path.read_bytes() == before


def test_only_traces_are_repaired(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    path.write_text("my thesis")
    with pytest.raises(TraceFormatError):
        repair(path)
    assert path.read_text() == "my thesis"


def test_other_tools_open_a_trace_that_was_closed(tmp_path: Path) -> None:
    write_trace(tmp_path / "run.h5", n_blocks=2)
    with h5py.File(tmp_path / "run.h5", "r") as file:
        assert file["iterations/iteration"][:].tolist() == list(range(8))


@pytest.mark.parametrize("limit_bytes", [3_000_000, 4_000_001, 5_123_456])
def test_a_full_disk_leaves_what_was_flushed_and_a_clean_exit(
    tmp_path: Path, limit_bytes: int
) -> None:
    path = tmp_path / "run.h5"
    *reports, message = _output_until_the_disk_is_full(path, limit_bytes)
    assert message == f"{path}: cannot be written: File too large"
    n_flushed = int(reports[-1])
    assert open_reader(path).n_iterations >= n_flushed
    found = open_reader(path).read(n_flushed - N_ROWS, n_flushed)
    assert_same(found, block(n_flushed - N_ROWS, N_ROWS, N_SERIES))


def test_a_disk_too_full_for_a_header_gets_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    (message,) = _output_until_the_disk_is_full(path, limit_bytes=10_000)
    assert message == f"{path}: cannot be written: File too large"
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_parts_that_were_written(tmp_path: Path) -> None:
    # The limit is one of each file, and the part of the statistics is the largest.
    path = tmp_path / "run.parquet"
    write_trace(path, n_blocks=1)
    largest = max(file.stat().st_size for file in path.rglob("*.parquet"))
    *reports, message = _output_until_the_disk_is_full(tmp_path / "full.parquet", largest)
    assert message == f"{tmp_path / 'full.parquet'}: cannot be written: File too large"
    reader = open_reader(tmp_path / "full.parquet")
    assert reader.n_iterations == N_ROWS * len(reports)
    assert not list((tmp_path / "full.parquet").rglob(".*"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_device_that_takes_nothing_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    writer = create_writer(path)
    writer.write_header(header())
    # The name under which the next header is prepared.
    (path / ".header.json").symlink_to("/dev/full")
    with pytest.raises(TraceWriteError, match="No space left on device"):
        writer.write_header(header(model_name="second"))
    writer.close()
    assert open_reader(path).header == header()


def full_for_large_blocks(monkeypatch: pytest.MonkeyPatch, path: Path) -> list[bool]:
    """Let the disk be full for whatever is large, as long as the list says so."""
    is_full = [True]
    if path.suffix == ".h5":

        def reserve(file: object, start: int, n_bytes: int) -> None:
            if is_full[0] and n_bytes > 1 << 20:
                raise OSError(28, "No space left on device")

        monkeypatch.setattr("deeplocalize.traces.hdf5_writer.reserve", reserve)
        return is_full
    written = parquet_writer._write_file

    def write_file(part: Path, data: bytes) -> None:
        # The small part of a block is written last.
        if is_full[0] and part.parent.name == "iterations":
            raise OSError(28, "No space left on device")
        written(part, data)

    monkeypatch.setattr(parquet_writer, "_write_file", write_file)
    return is_full


def test_after_a_full_disk_something_else_may_still_fit(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = create_writer(path)
    writer.write_header(header(40))
    is_full = full_for_large_blocks(monkeypatch, path)
    with pytest.raises(TraceFullError, match="No space left on device"):
        writer.append(block(0, 600, n_series=40))
    is_full[0] = False
    writer.append(block(0, 4, n_series=40))
    writer.close()
    assert_same(open_reader(path).read(), block(0, 4, n_series=40))


def test_of_a_failed_overwrite_the_older_trace_is_said_to_be_left(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_trace(path, n_blocks=1)
    writer = create_writer(path, overwrite=True)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    module = "hdf5_writer.reserve" if path.suffix == ".h5" else "parquet_writer._write_file"
    monkeypatch.setattr(f"deeplocalize.traces.{module}", fail)
    with pytest.raises(TraceFullError, match="older trace there was left as it is"):
        writer.write_header(header())
    writer.close()
    assert open_reader(path).n_iterations == 4


def test_after_an_error_nothing_more_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = create_writer(path)
    writer.write_header(header())
    writer.append(block(0))
    writer.flush()

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    module = (
        "hdf5_writer.Hdf5Writer._write" if path.suffix == ".h5" else "parquet_writer._write_file"
    )
    with monkeypatch.context() as patch:
        patch.setattr(f"deeplocalize.traces.{module}", fail)
        with pytest.raises(TraceWriteError, match="Input/output error"):
            writer.append(block(4))
    with pytest.raises(TraceError, match="earlier write failed"):
        writer.append(block(4))
    writer.close()
    assert_same(open_reader(path).read(), block(0))


def _writing(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.traces.writing", str(path)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _killed(path: Path, seed: int) -> int:
    """Kill a writing process at a random moment; returns the iterations it said were flushed."""
    random = np.random.default_rng(seed)
    with _writing(path) as process:
        assert process.stdout is not None
        reports = [process.stdout.readline() for _ in range(random.integers(1, 12))]
        Signal().wait(random.uniform(0, 0.01))
        process.kill()
        reports += process.stdout.readlines()
    return int([report for report in reports if report.endswith("\n")][-1])


def _output_until_the_disk_is_full(path: Path, limit_bytes: int) -> list[str]:
    """Let a process write under a limit of its files' size; it must exit by itself, unharmed."""
    limits = (limit_bytes, limit_bytes)
    finished = subprocess.run(
        [sys.executable, "-m", "tests.traces.writing", str(path)],
        cwd=ROOT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout.splitlines()
