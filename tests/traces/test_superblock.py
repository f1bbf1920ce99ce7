"""The superblock as HDF5 itself writes it."""

from pathlib import Path

import h5py
import pytest

from deeplocalize.traces import TraceFormatError
from deeplocalize.traces.superblock import LENGTH, lookup3, read_superblock


@pytest.mark.parametrize(
    "data, expected",
    [
        # The values that lookup3.c gives in its own self-test (driver5).
        (b"", 0xDEADBEEF),
        (b"Four score and seven years ago", 0x17770551),
    ],
)
def test_the_hash_is_that_of_its_author(data: bytes, expected: int) -> None:
    assert lookup3(data) == expected


def test_a_closed_file_is_not_marked_and_as_long_as_it_says(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    h5py.File(path, "w", libver=("v110", "v110")).close()
    superblock = read_superblock(path)
    assert not superblock.is_marked
    assert superblock.end_of_file == path.stat().st_size
    assert superblock.to_bytes() == path.read_bytes()[:LENGTH]


def test_a_file_being_written_is_marked(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver=("v110", "v110"), locking=False) as file:
        file.swmr_mode = True
        file.flush()
        superblock = read_superblock(path)
        assert superblock.is_marked
    assert not read_superblock(path).is_marked
    assert superblock.unmarked(path.stat().st_size) == read_superblock(path)


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    h5py.File(path, "w", libver=("v110", "v110")).close()
    whole = path.read_bytes()
    for i in range(8 * LENGTH):
        data = bytearray(whole)
        data[i // 8] ^= 1 << i % 8
        path.write_bytes(data)
        with pytest.raises(TraceFormatError):
            read_superblock(path)
