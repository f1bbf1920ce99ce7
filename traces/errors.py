"""Everything that can go wrong with a trace, as one tree.

    TraceError
    ├── TraceNotFoundError     (FileNotFoundError)  there is no such trace
    ├── TraceExistsError       (FileExistsError)    refusing to overwrite one
    ├── TraceFormatError       (ValueError)         not a trace, or a damaged one
    │   └── TraceVersionError                       written by a newer release
    ├── TraceReadError         (OSError)            no permission to read it, ...
    ├── TraceWriteError        (OSError)            disk full, no permission, ...
    └── TraceLookupError       (LookupError)        no such layer, kind, tensor or iteration

Each child is also the builtin that a caller would catch anyway. A message says what was
wanted, what was found, where, and what to do.
"""


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


class TraceReadError(TraceError, OSError):
    """The trace is there, but the system does not let us read it."""


class TraceWriteError(TraceError, OSError):
    """The trace could not be created or extended."""


class TraceLookupError(TraceError, LookupError):
    """The trace holds nothing under the given layer, kind, tensor or iteration."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, MemoryError)
"""What libraries raise for files whose structures do not fit together, and what nonsense in
them leads to (MemoryError: an absurd size). Readers turn it into a `TraceFormatError`."""
