"""A training that goes on from an earlier one: from which trace, and at which iteration."""

from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path

from deeplocalize.traces.files import open_reader


@dataclass(frozen=True)
class Continuation:
    """The earlier trace, and the first iteration of the training that goes on from it."""

    path: Path
    first_iteration: int


def continuation_of(path: Path, epoch: int) -> Continuation:
    """Where a training that begins with an epoch goes on from an earlier trace.

    After its last iteration; or, where it holds iterations of that epoch or later ones already (it
    was ended after a checkpoint, which the training now goes back to), at the first of them.

    Raises
    ------
    TraceError
        There is no readable trace.
    """
    reader = open_reader(path)
    try:

        def at(row: int, column: str) -> int:
            return int(reader.iterations(row, row + 1)[column][0])

        n = reader.n_iterations
        row = bisect_left(range(n), epoch, key=lambda row: at(row, "epoch"))
        if row < n:
            return Continuation(path, at(row, "iteration"))
        return Continuation(path, at(n - 1, "iteration") + 1 if n else 0)
    finally:
        reader.close()
