"""Conversion between the formats loses nothing, and its command speaks plainly."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deeplocalize.traces import (
    Event,
    Histogram,
    Tensor,
    TraceExistsError,
    TraceFormatError,
    convert,
    create_writer,
    open_reader,
)
from deeplocalize.traces.convert import main

from .build import assert_same_trace, block, header, write_trace


def other(path: Path) -> Path:
    """The same name in the other format."""
    return path.with_suffix(".parquet" if path.suffix == ".h5" else ".h5")


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sizes=st.lists(st.integers(1, 9), max_size=4), every=st.integers(1, 3), seed=st.integers(0))
def test_there_and_back_nothing_is_lost(
    path: Path, sizes: list[int], every: int, seed: int
) -> None:
    writer = create_writer(path, overwrite=True)
    writer.write_header(header(model_name="Ünïcødé"))
    first = 0
    for size in sizes:
        recorded = list(range(first, first + size, every))
        writer.append(block(first, size, recorded=recorded, seed=seed))
        writer.append_tensors([Tensor(first, 1, np.full((size, 2), np.nan, np.float16))])
        writer.append_histograms([Histogram(first, 2, -3, (0, 1), (size, 2), n_nan=1)])
        writer.append_events([Event("note", "hello", first, 0.5, {"size": size})])
        first += size
    writer.close()
    back = path.with_name(f"back{path.suffix}")
    convert(path, other(path), overwrite=True)
    convert(other(path), back, overwrite=True)
    expected = open_reader(path)
    assert_same_trace(open_reader(other(path)), expected)
    assert_same_trace(open_reader(back), expected)


def test_long_traces_are_converted_in_chunks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_trace(path, n_blocks=5)
    # The package has a function of the same name as the module.
    module = import_module("deeplocalize.traces.convert")
    monkeypatch.setattr(module, "CHUNK_ITERATIONS", 3)
    convert(path, other(path))
    assert_same_trace(open_reader(other(path)), open_reader(path))


def test_a_target_is_kept_unless_overwriting_was_asked_for(path: Path) -> None:
    write_trace(path, n_blocks=1)
    write_trace(other(path), n_blocks=2)
    with pytest.raises(TraceExistsError):
        convert(path, other(path))
    assert open_reader(other(path)).n_iterations == 8
    convert(path, other(path), overwrite=True)
    assert open_reader(other(path)).n_iterations == 4


def test_a_trace_is_not_converted_onto_itself(path: Path) -> None:
    write_trace(path)
    with pytest.raises(TraceExistsError, match="itself"):
        convert(path, path, overwrite=True)
    assert open_reader(path).n_iterations == 12


def test_of_a_damaged_source_no_target_is_left(tmp_path: Path) -> None:
    write_trace(tmp_path / "a.parquet")
    part = max((tmp_path / "a.parquet" / "statistics").iterdir())
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(TraceFormatError):
        convert(tmp_path / "a.parquet", tmp_path / "a.h5")
    assert [file.name for file in tmp_path.iterdir()] == ["a.parquet"]


def test_a_damaged_source_leaves_the_older_target(path: Path) -> None:
    writer = create_writer(path)
    writer.write_header(header())
    writer.append_tensors([Tensor(0, 0, np.arange(1000.0))])
    writer.close()
    damage_the_tensors(path)
    write_trace(other(path), n_blocks=2)
    before = sorted(path.parent.iterdir())
    with pytest.raises(TraceFormatError):
        convert(path, other(path), overwrite=True)
    assert open_reader(other(path)).n_iterations == 8
    assert sorted(path.parent.iterdir()) == before


def damage_the_tensors(path: Path) -> None:
    file = path if path.is_file() else next((path / "tensors").iterdir())
    data = file.read_bytes()
    at = data.index(np.arange(900.0, 910.0).tobytes()) if path.is_file() else len(data) // 2
    file.write_bytes(data[:at] + b"?" + data[at + 1 :])


def test_tensors_are_converted_many_at_a_time(tmp_path: Path) -> None:
    writer = create_writer(tmp_path / "a.h5")
    writer.write_header(header())
    for i in range(30):
        writer.append_tensors([Tensor(i, 0, np.full(10, i))])
    writer.close()
    convert(tmp_path / "a.h5", tmp_path / "a.parquet")
    assert len(list((tmp_path / "a.parquet" / "tensors").iterdir())) == 1
    assert_same_trace(open_reader(tmp_path / "a.parquet"), open_reader(tmp_path / "a.h5"))


def test_the_command_converts(path: Path) -> None:
    write_trace(path)
    assert main([str(path), str(other(path))]) == 0
    assert main([str(path), str(other(path)), "--overwrite"]) == 0
    assert_same_trace(open_reader(other(path)), open_reader(path))


def test_the_command_says_in_one_line_what_is_wrong(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(path), str(other(path))]) == 2
    assert capsys.readouterr().err == f"deeplocalize-convert: {path}: no such trace\n"


def test_an_interrupt_ends_the_command_without_a_traceback(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(import_module("deeplocalize.traces.convert"), "convert", interrupted)
    assert main([str(path), str(other(path))]) == 130
    assert capsys.readouterr().err == ""
