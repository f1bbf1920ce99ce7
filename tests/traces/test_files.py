"""Which paths are opened, written, overwritten and refused, and with which words."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import pandas as pd
import pytest

from deeplocalize.traces import (
    TraceError,
    TraceExistsError,
    TraceFormatError,
    TraceNotFoundError,
    TraceReadError,
    TraceWriteError,
    create_writer,
    open_reader,
)
from deeplocalize.traces.files import remove_trace

from .build import SUFFIXES, block, header, write_trace


@pytest.mark.parametrize("name", ["a.h5", "a.hdf5", "a.H5", "a.parquet"])
def test_the_suffix_chooses_the_format(tmp_path: Path, name: str) -> None:
    write_trace(tmp_path / name)
    assert (tmp_path / name).is_dir() == name.endswith("parquet")
    assert open_reader(str(tmp_path / name)).n_iterations == 12


@pytest.mark.parametrize("name", ["a", "a.csv", "a.h5.gz"])
def test_a_new_trace_needs_a_known_suffix(tmp_path: Path, name: str) -> None:
    with pytest.raises(TraceFormatError, match=r"\.h5"):
        create_writer(tmp_path / name)


def test_an_existing_trace_is_kept_unless_overwriting_was_asked_for(path: Path) -> None:
    write_trace(path)
    with pytest.raises(TraceExistsError, match="overwrite"):
        create_writer(path)
    assert open_reader(path).n_iterations == 12


def test_overwriting_replaces_the_older_trace_with_the_first_header(path: Path) -> None:
    write_trace(path)
    writer = create_writer(path, overwrite=True)
    assert open_reader(path).n_iterations == 12
    writer.write_header(header())
    assert open_reader(path).n_iterations == 0
    writer.append(block())
    writer.close()
    assert open_reader(path).n_iterations == 4
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_writer_that_is_given_up_leaves_the_older_trace(path: Path) -> None:
    write_trace(path)
    create_writer(path, overwrite=True).close()
    assert open_reader(path).n_iterations == 12


def foreign_file(path: Path) -> None:
    path.write_text("my thesis")


def foreign_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["weights"] = [1, 2, 3]


def foreign_directory(path: Path) -> None:
    path.mkdir()
    (path / "thesis.txt").write_text("my thesis")


def foreign_json_directory(path: Path) -> None:
    path.mkdir()
    (path / "header.json").write_text("[1]")


def empty_directory(path: Path) -> None:
    path.mkdir()


def trace_with_a_foreign_file(path: Path) -> None:
    write_trace(path.with_name("made.parquet"))
    path.with_name("made.parquet").rename(path)
    (path / "iterations" / "thesis.txt").write_text("my thesis")


Make = Callable[[Path], None]
FOREIGN: list[Make] = [
    foreign_file,
    foreign_hdf5,
    foreign_directory,
    foreign_json_directory,
    empty_directory,
]


@pytest.mark.parametrize("make", [*FOREIGN, trace_with_a_foreign_file])
def test_what_is_not_a_trace_is_never_overwritten_or_removed(path: Path, make: Make) -> None:
    make(path)
    before = sorted(path.rglob("*")), path.is_dir() or path.read_bytes()
    with pytest.raises(TraceExistsError):
        create_writer(path, overwrite=True)
    remove_trace(path)
    assert (sorted(path.rglob("*")), path.is_dir() or path.read_bytes()) == before


def test_a_trace_of_the_other_format_is_not_overwritten(tmp_path: Path) -> None:
    for made, name in zip(SUFFIXES, reversed(SUFFIXES), strict=True):
        write_trace(tmp_path / f"made{made}")
        (tmp_path / f"made{made}").rename(tmp_path / f"a{name}")
        with pytest.raises(TraceExistsError):
            create_writer(tmp_path / f"a{name}", overwrite=True)


@pytest.mark.parametrize("make", FOREIGN)
def test_what_is_not_a_trace_is_not_opened(path: Path, make: Make) -> None:
    make(path)
    with pytest.raises(TraceFormatError, match=path.name):
        open_reader(path)


def test_a_missing_trace_is_named(path: Path) -> None:
    with pytest.raises(TraceNotFoundError, match=path.name):
        open_reader(path)


def test_an_empty_file_is_called_empty(path: Path) -> None:
    path.touch()
    with pytest.raises(TraceFormatError, match="empty"):
        open_reader(path)


def test_a_single_parquet_file_is_told_from_a_trace(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(TraceFormatError, match="directory"):
        open_reader(tmp_path / "a.parquet")


def test_a_directory_that_does_not_exist_cannot_be_written_to(path: Path) -> None:
    with pytest.raises(TraceWriteError, match="No such file or directory") as caught:
        create_writer(path.parent / "nowhere" / path.name).write_header(header())
    assert path.name in str(caught.value)


def test_a_path_below_a_file_cannot_be_written(path: Path) -> None:
    foreign_file(path.parent / "file")
    with pytest.raises(TraceError):
        create_writer(path.parent / "file" / path.name)


def test_a_path_without_permission_cannot_be_written(path: Path) -> None:
    path.parent.chmod(0o555)
    with unprivileged(path.parent), pytest.raises(TraceWriteError, match="Permission denied"):
        create_writer(path)


def test_a_trace_without_permission_cannot_be_read(path: Path) -> None:
    write_trace(path)
    for file in [path, *path.rglob("header.json")]:
        file.chmod(0o000)
    with unprivileged(path.parent), pytest.raises(TraceReadError, match="Permission denied"):
        open_reader(path)


def test_a_directory_without_permission_cannot_be_searched(path: Path) -> None:
    write_trace(path)
    path.parent.chmod(0o000)
    try:
        with unprivileged(path.parent.parent), pytest.raises(TraceReadError, match="denied"):
            open_reader(path)
    finally:
        path.parent.chmod(0o755)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_trace_is_removed_whole(tmp_path: Path, suffix: str) -> None:
    write_trace(tmp_path / f"a{suffix}")
    remove_trace(tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_writers_of_one_path_do_not_disturb_each_other(path: Path) -> None:
    unused = create_writer(path)
    write_trace(path, n_blocks=1)
    unused.close()
    assert open_reader(path).n_iterations == 4
    assert list(path.parent.iterdir()) == [path]


@contextmanager
def unprivileged(directory: Path) -> Iterator[None]:
    """Without root's rights, which would pass by every permission; the path stays reachable."""
    if os.geteuid() != 0:
        yield
        return
    modes = {parent: parent.stat().st_mode for parent in [directory, *directory.parents]}
    for parent, mode in modes.items():
        parent.chmod(mode | 0o111)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        for parent, mode in modes.items():
            parent.chmod(mode)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_an_hdf5_file_of_something_else_is_told_as_one(tmp_path: Path, libver: str) -> None:
    path = tmp_path / "model.h5"
    with h5py.File(path, "w", libver=libver) as file:
        file["weights"] = [1.0]
    with pytest.raises(TraceFormatError, match="an HDF5 file, but not a trace of deeplocalize"):
        open_reader(path)
