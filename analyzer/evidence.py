"""How long conditions held, per series: the one associative merge behind every rule.

A chunk of consecutive rows is summarised by `gather`, two neighbouring summaries by `merge`.
The merge is associative, not commutative, so that a trace is the fold of its chunks in order,
whoever computes them.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

NEVER = int(np.iinfo(np.int64).max)

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs of a boolean condition over the rows that count; every array has one entry a series.

    Attributes
    ----------
    n_rows, n_holding
        Rows that count, and those of them in which the condition holds.
    head, tail
        Lengths of the runs that touch the first and the last row.
    tail_start
        Iteration in which the run that touches the last row begins, or `NEVER`.
    onset
        Iteration in which the first run of at least `patience` rows begins, or `NEVER`.
    last
        Last iteration in which the condition holds, or -1.
    peak, peak_iteration
        Largest measure among the rows in which the condition holds (-Inf, `NEVER`: none).
    """

    n_rows: Counts
    n_holding: Counts
    head: Counts
    tail: Counts
    tail_start: Counts
    onset: Counts
    last: Counts
    peak: NDArray[np.float64]
    peak_iteration: Counts


def no_runs(n_series: int) -> Runs:
    """The evidence of no rows: merging it changes nothing."""
    zero = np.zeros(n_series, dtype=np.int64)
    never = np.full(n_series, NEVER)
    return Runs(
        n_rows=zero,
        n_holding=zero,
        head=zero,
        tail=zero,
        tail_start=never,
        onset=never,
        last=zero - 1,
        peak=np.full(n_series, -np.inf),
        peak_iteration=never,
    )


def only_counted(n_rows: Counts) -> Runs:
    """The evidence of rows that count and in which the condition never holds."""
    return replace(no_runs(len(n_rows)), n_rows=n_rows)


def gather(
    holds: NDArray[np.bool_],
    counts: NDArray[np.bool_],
    measure: NDArray[np.float64],
    iteration: Counts,
    patience: int,
) -> Runs:
    """The evidence of one chunk.

    Parameters
    ----------
    holds, counts, measure
        Shape (rows, series). Rows where ``counts`` is false neither extend nor end a run.
        NaN measures never become the peak.
    iteration
        Shape (rows,), increasing.
    patience
        Rows that a run must reach to have an onset; at least 1.
    """
    n_rows, n_series = holds.shape
    if n_rows == 0:
        return no_runs(n_series)
    holds = holds & counts
    if not holds.any():
        # Nothing to trace row by row: the common case, several times faster.
        return only_counted(counts.sum(axis=0, dtype=np.int64))
    rank = np.cumsum(counts, axis=0, dtype=np.int64)
    fails = counts & ~holds
    run = rank - np.maximum.accumulate(np.where(fails, rank, 0), axis=0)
    row = np.arange(n_rows)[:, None]
    begins = np.maximum.accumulate(np.where(holds & (run == 1), row, 0), axis=0)
    reached = holds & (run >= patience)
    series = np.arange(n_series)
    onset_row = begins[np.argmax(reached, axis=0), series]
    total, tail = rank[-1], run[-1]
    first_failure = np.where(fails.any(axis=0), rank[np.argmax(fails, axis=0), series] - 1, total)
    last_row = n_rows - 1 - np.argmax(holds[::-1], axis=0)
    ever = holds.any(axis=0)
    held = np.where(holds & ~np.isnan(measure), measure, -np.inf)
    peak_row = np.argmax(held, axis=0)
    peak = held[peak_row, series]
    return Runs(
        n_rows=total,
        n_holding=holds.sum(axis=0, dtype=np.int64),
        head=first_failure,
        tail=tail,
        tail_start=np.where(tail > 0, iteration[begins[-1]], NEVER),
        onset=np.where(reached.any(axis=0), iteration[onset_row], NEVER),
        last=np.where(ever, iteration[last_row], -1),
        peak=peak,
        peak_iteration=np.where(peak > -np.inf, iteration[peak_row], NEVER),
    )


def merge(a: Runs, b: Runs, patience: int) -> Runs:
    """The evidence of two neighbouring chunks, ``a`` before ``b``."""
    bridges = (a.tail > 0) & (a.tail + b.head >= patience)
    bridge = np.where(bridges, a.tail_start, NEVER)
    b_is_one_run = b.tail == b.n_rows
    b_has_peak = b.peak > a.peak
    return Runs(
        n_rows=a.n_rows + b.n_rows,
        n_holding=a.n_holding + b.n_holding,
        head=np.where(a.head == a.n_rows, a.n_rows + b.head, a.head),
        tail=np.where(b_is_one_run, a.tail + b.tail, b.tail),
        tail_start=np.where(b_is_one_run & (a.tail > 0), a.tail_start, b.tail_start),
        onset=np.minimum(np.minimum(a.onset, bridge), b.onset),
        last=np.maximum(a.last, b.last),
        peak=np.where(b_has_peak, b.peak, a.peak),
        peak_iteration=np.where(b_has_peak, b.peak_iteration, a.peak_iteration),
    )
