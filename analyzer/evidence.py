"""How long conditions held, per series: the one associative merge behind every rule.

Lengths are in iterations: a row stands for those since the series was last recorded, up to a
third of the patience, so that a thinned trace shows the same and no run rests on two rows.

A chunk of consecutive rows is summarised by `gather`, two neighbouring summaries by `merge`.
The merge is associative, not commutative, so that a trace is the fold of its chunks in order,
whoever computes them.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

NEVER = int(np.iinfo(np.int64).max)

# Rows that a run must have where its patience is as long: two may agree by chance.
MIN_ROWS = 3

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs of a boolean condition over the rows that count; every array has one entry a series.

    Attributes
    ----------
    n_rows, n_holding
        Rows that count, and those of them in which the condition holds.
    length
        Iterations that the rows that count stand for.
    head, tail
        Lengths of the runs that touch the first and the last row, in iterations.
    tail_start
        Iteration in which the run that touches the last row begins, or `NEVER`.
    onset
        Iteration in which the first run of at least `patience` iterations begins, or `NEVER`.
    last
        Last iteration in which the condition holds, or -1.
    peak, peak_iteration
        Largest measure among the rows in which the condition holds (-Inf, `NEVER`: none).
    """

    n_rows: Counts
    n_holding: Counts
    length: Counts
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
        length=zero,
        head=zero,
        tail=zero,
        tail_start=never,
        onset=never,
        last=zero - 1,
        peak=np.full(n_series, -np.inf),
        peak_iteration=never,
    )


def only_counted(counts: NDArray[np.bool_], stride: Counts, patience: int) -> Runs:
    """The evidence of rows that count and in which the condition never holds."""
    n_rows = counts.sum(axis=0, dtype=np.int64)
    capped = _capped(stride, patience)
    length = n_rows * capped.item() if capped.size == 1 else (counts * capped).sum(axis=0)
    return replace(no_runs(counts.shape[1]), n_rows=n_rows, length=length)


def _capped(stride: Counts, patience: int) -> Counts:
    return np.minimum(stride, max(1, patience // MIN_ROWS))


def gather(
    holds: NDArray[np.bool_],
    counts: NDArray[np.bool_],
    measure: NDArray[np.float64],
    iteration: Counts,
    stride: Counts,
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
    stride
        Shape (rows, series), or one that broadcasts to it: iterations since the series was last
        recorded; at least 1.
    patience
        Iterations that a run must reach to have an onset; at least 1.
    """
    n_rows, n_series = holds.shape
    if n_rows == 0:
        return no_runs(n_series)
    holds = holds & counts
    length = counts * _capped(stride, patience)
    rank = np.cumsum(length, axis=0, dtype=np.int64)
    fails = counts & ~holds
    run = rank - np.maximum.accumulate(np.where(fails, rank, 0), axis=0)
    row = np.arange(n_rows)[:, None]
    begins = np.maximum.accumulate(np.where(holds & (run == length), row, 0), axis=0)
    reached = holds & (run >= patience)
    series = np.arange(n_series)
    onset_row = begins[np.argmax(reached, axis=0), series]
    total, tail = rank[-1], run[-1]
    failure = np.argmax(fails, axis=0)
    first_failure = np.where(
        fails.any(axis=0), rank[failure, series] - length[failure, series], total
    )
    last_row = n_rows - 1 - np.argmax(holds[::-1], axis=0)
    ever = holds.any(axis=0)
    held = np.where(holds & ~np.isnan(measure), measure, -np.inf)
    peak_row = np.argmax(held, axis=0)
    peak = held[peak_row, series]
    return Runs(
        n_rows=counts.sum(axis=0, dtype=np.int64),
        n_holding=holds.sum(axis=0, dtype=np.int64),
        length=total,
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
    b_is_one_run = b.tail == b.length
    b_has_peak = b.peak > a.peak
    return Runs(
        n_rows=a.n_rows + b.n_rows,
        n_holding=a.n_holding + b.n_holding,
        length=a.length + b.length,
        head=np.where(a.head == a.length, a.length + b.head, a.head),
        tail=np.where(b_is_one_run, a.tail + b.tail, b.tail),
        tail_start=np.where(b_is_one_run & (a.tail > 0), a.tail_start, b.tail_start),
        onset=np.minimum(np.minimum(a.onset, bridge), b.onset),
        last=np.maximum(a.last, b.last),
        peak=np.where(b_has_peak, b.peak, a.peak),
        peak_iteration=np.where(b_has_peak, b.peak_iteration, a.peak_iteration),
    )
