"""The first bytes of an HDF5 file: its mark of being written, and where it ends.

A file whose process was killed stays marked, and HDF5 opens it only in a mode for readers of a
living file, in which damage makes it wait for years (it reads again, up to a hundred times,
pausing twice as long each time). So the mark is hidden from it, and reading again is left to
the reader. Layout: HDF5 File Format Specification 3.0, section II.A, version 2 and 3.
"""

import io
import os
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .errors import TraceFormatError

LENGTH = 48

# Signature, version, two sizes, flags, then four addresses (base, extension, end, root), checksum.
_LAYOUT = struct.Struct("<8s4B4QI")
_SIGNATURE = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class Superblock:
    """What stands in the superblock; ``flags`` are 0 in a file that was closed."""

    version: int
    sizes: tuple[int, int]
    flags: int
    base: int
    extension: int
    end_of_file: int
    root: int

    @property
    def is_marked(self) -> bool:
        """Whether the file is being written, or its process was killed."""
        return self.flags != 0

    def unmarked(self, end_of_file: int) -> "Superblock":
        """As of a closed file of the given length."""
        return replace(self, flags=0, end_of_file=end_of_file)

    def to_bytes(self) -> bytes:
        """The superblock as it stands in the file."""
        addresses = (self.base, self.extension, self.end_of_file, self.root)
        head = (_SIGNATURE, self.version, *self.sizes, self.flags)
        data = _LAYOUT.pack(*head, *addresses, 0)[:-4]
        return data + lookup3(data).to_bytes(4, "little")


def read_superblock(path: Path) -> Superblock:
    """The superblock of a file.

    Raises
    ------
    TraceFormatError
        It is damaged, or of a version that other files have and traces never.
    """
    with path.open("rb") as file:
        data = file.read(LENGTH)
    if len(data) < LENGTH or not data.startswith(_SIGNATURE):
        raise TraceFormatError(f"{path}: truncated or damaged: no HDF5 superblock")
    _, version, *sizes, flags, base, extension, end, root, checksum = _LAYOUT.unpack(data)
    if version in (0, 1):
        raise TraceFormatError(f"{path}: an HDF5 file, but not a trace of deeplocalize")
    if version not in (2, 3) or lookup3(data[:-4]) != checksum:
        raise TraceFormatError(f"{path}: truncated or damaged: its superblock is not as written")
    return Superblock(version, (sizes[0], sizes[1]), flags, base, extension, end, root)


class UnmarkedFile(io.FileIO):
    """A file opened for reading that seems to have been closed properly."""

    def __init__(self, path: Path, superblock: Superblock) -> None:
        super().__init__(path, "r")
        # HDF5 writes the end of the file only when it closes it; this one includes all data.
        end_of_file = os.fstat(self.fileno()).st_size
        self._superblock = superblock.unmarked(end_of_file).to_bytes()

    def readinto(self, buffer: Any, /) -> int:
        """Read as any file, with another superblock."""
        start = self.tell()
        n_read = super().readinto(buffer) or 0
        replaced = self._superblock[start : start + n_read]
        memoryview(buffer).cast("B")[: len(replaced)] = replaced
        return n_read


def lookup3(data: bytes) -> int:
    """Bob Jenkins' hash (lookup3.c, ``hashlittle`` with initial value 0), HDF5's checksum."""
    a = b = c = (0xDEADBEEF + len(data)) & _MASK
    tail_start = max(len(data) - 1, 0) // 12 * 12
    words = [int.from_bytes(data[i : i + 4], "little") for i in range(0, tail_start + 12, 4)]
    for i in range(0, tail_start // 4, 3):
        a, b, c = (a + words[i]) & _MASK, (b + words[i + 1]) & _MASK, (c + words[i + 2]) & _MASK
        a, b, c = _mix(a, b, c)
    if not data:
        return c
    a, b, c = (x + y & _MASK for x, y in zip((a, b, c), words[-3:], strict=True))
    return _final(a, b, c)


_MASK = 0xFFFFFFFF


def _rotate(x: int, n_bits: int) -> int:
    return (x << n_bits | x >> 32 - n_bits) & _MASK


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for n_bits in (4, 6, 8, 16, 19, 4):
        # Each round works on the variables in the next rotation of their roles.
        a = (a - c & _MASK) ^ _rotate(c, n_bits)
        c = c + b & _MASK
        a, b, c = b, c, a
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    for n_bits in (14, 11, 25, 16, 4, 14, 24):
        c = (c ^ b) - _rotate(b, n_bits) & _MASK
        a, b, c = b, c, a
    return b
