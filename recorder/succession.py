"""The traces that one recorder writes, fit after fit: their names, and which goes on from which."""

import os
from pathlib import Path
from typing import Any

from deeplocalize.traces.files import create_writer, open_reader
from deeplocalize.traces.interface import TraceWriter


class Succession:
    """Names the trace of each fit, and knows the one before it.

    What is wrong with a path is said when this is made, before a training begins.

    Parameters
    ----------
    path
        Of the first trace.
    overwrite
        Whether traces that exist are replaced.
    continues
        The trace of an earlier process, from which the first fit goes on; None if there is none.

    Raises
    ------
    TraceError
        Nothing can be written to ``path``, or ``continues`` cannot be read.
    TypeError, ValueError
        ``continues`` is no path, or that of the first trace itself.
    """

    def __init__(self, path: Path, overwrite: bool, continues: str | Path | None) -> None:
        self.path = path
        """Of the latest trace, or the first."""
        self._first_path = path
        self._overwrite = overwrite
        self._n_traces = 0
        if not isinstance(continues, str | os.PathLike | None):
            raise TypeError(f"continues={continues!r}: wanted the path of an earlier trace")
        self._continues = None if continues is None else Path(continues)
        self._last_trained: tuple[Any, Path] | None = None
        if self._continues is not None:
            open_reader(self._continues).close()
            if self._continues.resolve() == path.resolve():
                raise ValueError(f"continues={str(continues)!r}: the trace would replace itself")
        create_writer(path, overwrite).close()

    def next_writer(self) -> TraceWriter:
        """A writer of the first path, then of a numbered one for each further fit."""
        self._n_traces += 1
        self.path = numbered(self._first_path, self._n_traces)
        return create_writer(self.path, self._overwrite)

    def earlier(self, model: Any, epoch: int) -> Path | None:
        """The trace of the training that goes on now, if it is not a new one.

        ``epoch`` is the first one of the fit that has begun.
        """
        continues, self._continues = self._continues, None
        last_model, path = self._last_trained or (None, None)
        self._last_trained = model, self.path
        return path if epoch and last_model is model else continues


def numbered(path: Path, n: int) -> Path:
    """The path of the n-th trace, counted from 1: the first has no number."""
    return path if n == 1 else path.with_name(f"{path.stem}-{n}{path.suffix}")
