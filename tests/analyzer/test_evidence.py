from dataclasses import fields
from functools import reduce
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deeplocalize.analyzer.evidence import MIN_ROWS, NEVER, Runs, gather, merge, no_runs
from deeplocalize.analyzer.strides import NOT_YET, no_rows, strides

Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]
Case = tuple[Flags, Flags, NDArray[np.float64], Counts, Counts]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A condition over rows and series, which rows count, a measure, iterations and strides."""
    n_rows, n_series = draw(st.integers(0, 12)), draw(st.integers(1, 3))
    n = n_rows * n_series
    flags = st.lists(st.booleans(), min_size=n, max_size=n)
    numbers = st.lists(st.integers(-3, 3), min_size=n, max_size=n)
    steps = draw(st.lists(st.integers(1, 3), min_size=n_rows, max_size=n_rows))
    gaps = st.lists(st.integers(1, 5), min_size=n, max_size=n)
    shape = (n_rows, n_series)
    return (
        np.array(draw(flags), dtype=bool).reshape(shape),
        np.array(draw(flags), dtype=bool).reshape(shape),
        np.array(draw(numbers), dtype=float).reshape(shape),
        np.cumsum(np.array(steps, dtype=np.int64)),
        np.array(draw(gaps), dtype=np.int64).reshape(shape),
    )


def brute_force(case: Case, series: int, patience: int) -> tuple[int, ...]:
    """(rows, holding, tail, tail start, onset, last) of one series, row by row."""
    holds, counts, _, iteration, stride = case
    n_rows = n_holding = length = 0
    start = onset = NEVER
    last = -1
    for row, at in enumerate(iteration.tolist()):
        if not counts[row, series]:
            continue
        n_rows += 1
        if holds[row, series]:
            start = at if length == 0 else start
            length += min(int(stride[row, series]), max(1, patience // MIN_ROWS))
            n_holding, last = n_holding + 1, at
            onset = min(onset, start) if length >= patience else onset
        else:
            length, start = 0, NEVER
    return n_rows, n_holding, length, start, onset, last


def same(a: Runs, b: Runs) -> bool:
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(Runs))


def gathered(case: Case, rows: slice, patience: int) -> Runs:
    holds, counts, measure, iteration, stride = case
    return gather(holds[rows], counts[rows], measure[rows], iteration[rows], stride[rows], patience)


@given(cases(), st.integers(1, 12))
def test_gathered_evidence_is_what_looking_row_by_row_finds(case: Case, patience: int) -> None:
    runs = gathered(case, slice(None), patience)
    for series in range(case[0].shape[1]):
        found = (runs.n_rows, runs.n_holding, runs.tail, runs.tail_start, runs.onset, runs.last)
        assert tuple(int(a[series]) for a in found) == brute_force(case, series, patience)


@given(cases(), st.integers(1, 12), st.data())
def test_any_chunking_gives_the_same_evidence(
    case: Case, patience: int, data: st.DataObject
) -> None:
    n_rows = len(case[3])
    cuts = sorted(data.draw(st.lists(st.integers(0, n_rows), max_size=5)))
    edges = [0, *cuts, n_rows]
    chunks = [gathered(case, slice(a, b), patience) for a, b in pairwise(edges)]
    folded = reduce(lambda a, b: merge(a, b, patience), chunks)
    assert same(folded, gathered(case, slice(None), patience))


@given(cases(), cases(), cases(), st.integers(1, 12))
def test_merging_is_associative(a: Case, b: Case, c: Case, patience: int) -> None:
    n_series = min(case[0].shape[1] for case in (a, b, c))
    offset = 0
    runs = []
    for holds, counts, measure, iteration, stride in (a, b, c):
        later = iteration + offset
        offset = int(later[-1]) if len(later) else offset
        holds, counts = holds[:, :n_series], counts[:, :n_series]
        measure, stride = measure[:, :n_series], stride[:, :n_series]
        runs.append(gather(holds, counts, measure, later, stride, patience))
    x, y, z = runs
    left = merge(merge(x, y, patience), z, patience)
    assert same(left, merge(x, merge(y, z, patience), patience))


@given(cases(), st.integers(1, 12))
def test_no_rows_are_neutral(case: Case, patience: int) -> None:
    runs = gathered(case, slice(None), patience)
    nothing = no_runs(case[0].shape[1])
    assert same(merge(nothing, runs, patience), runs)
    assert same(merge(runs, nothing, patience), runs)


def test_the_peak_is_the_first_largest_measure_while_the_condition_holds() -> None:
    holds = np.array([[True], [False], [True], [True]])
    measure = np.array([[1.0], [9.0], [3.0], [3.0]])
    runs = gather(
        holds, np.ones_like(holds), measure, np.arange(10, 14), np.ones((1, 1), np.int64), 1
    )
    assert (runs.peak[0], runs.peak_iteration[0]) == (3.0, 12)


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), max_size=12), st.data())
def test_a_stride_counts_from_the_last_record_of_its_series_in_any_chunking(
    flags: list[list[bool]], data: st.DataObject
) -> None:
    n = np.where(np.array(flags, bool).reshape(-1, 3), 8, -1)
    steps = data.draw(st.lists(st.integers(1, 4), min_size=len(n), max_size=len(n)))
    recorded = np.cumsum(np.array(steps, np.int64))
    cut = data.draw(st.integers(0, len(n)))
    first, between = strides(recorded[:cut], n[:cut], no_rows(3))
    second, last = strides(recorded[cut:], n[cut:], between)
    parts = [(first, cut), (second, len(n) - cut)]
    found = np.vstack([np.broadcast_to(stride, (rows, 3)) for stride, rows in parts])
    for series in range(3):
        before = NOT_YET
        for row, at in enumerate(recorded.tolist()):
            if n[row, series] >= 0:
                assert found[row, series] == (1 if before == NOT_YET else at - before)
                before = at
        assert last[series] == before
