"""How many iterations a recorded row stands for: those since its series was last recorded.

A schedule thins a trace out; what held in iterations 50 and 100 is taken to have held in between.
"""

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]

NOT_YET = -1


def no_rows(n_series: int) -> Counts:
    """The last recorded iteration of each series, before any was."""
    return np.full(n_series, NOT_YET)


def strides(recorded: Counts, n: Counts, last: Counts) -> tuple[Counts, Counts]:
    """Iterations since each series was last recorded, and its last recorded iteration.

    Parameters
    ----------
    recorded
        Iterations of the rows, shape (rows,), increasing.
    n
        Elements of each tensor, shape (rows, series); negative where it was not recorded.
    last
        Last recorded iteration of each series before these rows, or `NOT_YET`.

    Returns
    -------
    tuple
        Strides of at least 1, of a shape that broadcasts to (rows, series): 1 for the first
        record of a series. Shape (series,): the last recorded iterations after these rows.
    """
    if not len(recorded):
        return np.ones((0, 1), np.int64), last
    is_dense = recorded[-1] - recorded[0] == len(recorded) - 1 and bool((n >= 0).all())
    if is_dense and bool(((last == NOT_YET) | (last == recorded[0] - 1)).all()):
        return np.ones((1, 1), np.int64), np.full(len(last), recorded[-1])
    at = np.where(n >= 0, recorded[:, None], NOT_YET)
    since = np.maximum.accumulate(np.vstack([last[None, :], at]), axis=0)
    before = since[:-1]
    stride = np.where(before == NOT_YET, 1, recorded[:, None] - before)
    return stride, since[-1]


def n_covered(recorded: Counts, last: Counts, most: int) -> int:
    """Iterations that recorded rows stand for, each for those since the one before.

    Parameters
    ----------
    recorded, last
        As of `strides`.
    most
        Iterations that a row stands for at most.
    """
    if not len(recorded):
        return 0
    before = int(last.max(initial=NOT_YET))
    since = recorded[0] - 1 if before == NOT_YET else before
    return int(np.minimum(np.diff(recorded, prepend=since), most).sum())
