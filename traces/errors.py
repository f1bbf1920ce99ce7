"""Everything that can go wrong with a trace, as one tree.

    TraceError
    ├── TraceNotFoundError     (FileNotFoundError)  there is no such trace
    ├── TraceExistsError       (FileExistsError)    refusing to overwrite one
    ├── TraceFormatError       (ValueError)         not a trace, or a damaged one
    │   ├── TraceVersionError                       written by a newer release
    │   └── TraceFieldError                         a field is missing or of another type
    ├── TraceReadError         (OSError)            no permission to read it, ...
    ├── TraceWriteError        (OSError)            no permission, I/O error, ...
    │   └── TraceFullError                          no room: disk, quota or file size
    └── TraceLookupError       (LookupError)        no such layer, kind, tensor or iteration

Each child is also the builtin that a caller would catch anyway. A message says what was
wanted, what was found, where, and what to do.
"""

import contextlib
import errno
from pathlib import Path


class TraceError(Exception):
    """Root of every error that reading or writing a trace raises on purpose."""


class TraceNotFoundError(TraceError, FileNotFoundError):
    """The path does not exist."""


class TraceExistsError(TraceError, FileExistsError):
    """The path exists already and overwriting was not asked for."""


class TraceFormatError(TraceError, ValueError):
    """The file is not a trace, or it is truncated or corrupted."""


class TraceVersionError(TraceFormatError):
    """The trace was written in a format version that this release does not know."""


class TraceFieldError(TraceFormatError):
    """A field of the header or of an event is missing, or not of the type it has to be."""


class TraceReadError(TraceError, OSError):
    """The trace is there, but the system does not let us read it."""


class TraceWriteError(TraceError, OSError):
    """The trace could not be created or extended."""


class TraceFullError(TraceWriteError):
    """There is no room for it; something smaller may still fit."""


class TraceLookupError(TraceError, LookupError):
    """The trace holds nothing under the given layer, kind, tensor or iteration."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def refusal(path: Path, reason: object, is_published: bool) -> str:
    """What to say of a write that the system refused, and of an older trace that stays."""
    message = f"{path}: cannot be written: {reason}"
    # What cannot even be asked for is not there.
    with contextlib.suppress(OSError):
        if not is_published and path.exists():
            message += "; the older trace there was left as it is"
    return message


def write_error(message: str, error: BaseException) -> TraceWriteError:
    """The error of a write that the system refused: `TraceFullError` where there is no room."""
    is_full = getattr(error, "errno", None) in _NO_ROOM
    return TraceFullError(message) if is_full else TraceWriteError(message)


DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, MemoryError)
"""What libraries raise for files whose structures do not fit together, and what nonsense in
them leads to (MemoryError: an absurd size). Readers turn it into a `TraceFormatError`."""
