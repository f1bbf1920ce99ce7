"""A training that goes on from an earlier one: from which trace, and at which iteration."""

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

    After its last iteration; or, where it holds iterations of that epoch already (it was ended
    after a checkpoint, which the training now goes back to), at the first of them.

    Raises
    ------
    TraceError
        There is no readable trace.
    """
    reader = open_reader(path)
    try:
        low, high = 0, reader.n_iterations
        while low < high:
            middle = (low + high) // 2
            if reader.iterations(middle, middle + 1)["epoch"][0] < epoch:
                low = middle + 1
            else:
                high = middle
        if not low:
            return Continuation(path, 0)
        return Continuation(path, int(reader.iterations(low - 1, low)["iteration"][0]) + 1)
    finally:
        reader.close()
