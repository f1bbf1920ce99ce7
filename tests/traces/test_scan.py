from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from deeplocalize.traces import create_writer, open_trace
from deeplocalize.traces.scan import scan, stretches
from deeplocalize.traces.schema import NONFINITE
from deeplocalize.traces.table import concatenate

from .build import assert_same_array, block, header

N_BLOCK = 10


@pytest.fixture(params=["trace.h5", "trace.parquet"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A trace of six blocks, of which the fifth has non-finite elements."""
    place: Path = tmp_path / request.param
    writer = create_writer(place)
    writer.write_header(header())
    for i in range(6):
        made = block(N_BLOCK * i, N_BLOCK)
        made.iterations["n_nonfinite_series"][:] = 2 * (i == 4)
        writer.append(made)
        writer.flush()
    writer.close()
    return place


@pytest.mark.parametrize(
    ("n_rows", "start", "stop", "bounds"),
    [
        (10, 0, None, [0, 10, 20, 30, 40, 50, 60]),
        (29, 0, None, [0, 20, 40, 60]),
        (1000, 0, None, [0, 60]),
        (29, 5, 47, [5, 30, 40, 47]),
        (4, 8, 21, [8, 10, 14, 18, 20, 21]),
        (29, 0, 1000, [0, 20, 40, 60]),
        (29, 60, None, []),
    ],
)
def test_stretches_end_between_blocks_where_one_fits(
    path: Path, n_rows: int, start: int, stop: int | None, bounds: list[int]
) -> None:
    with open_trace(path) as trace:
        assert list(stretches(trace.reader, n_rows, start, stop)) == list(pairwise(bounds))


@pytest.mark.parametrize("n_rows", [3, 10, 25, 1000])
def test_a_scan_gives_every_row_once(path: Path, n_rows: int) -> None:
    with open_trace(path) as trace:
        whole = trace.reader.read(0, None, ["rms"])
        found = list(scan(trace.reader, ["rms"], n_rows))
    assert all(len(b.iterations) <= n_rows for b in found)
    np.testing.assert_array_equal(np.concatenate([b.recorded for b in found]), whole.recorded)
    assert_same_array(concatenate(b.statistics for b in found)["rms"], whole.statistics["rms"])


def test_a_scan_counts_what_is_not_finite_only_where_something_is(path: Path) -> None:
    with open_trace(path) as trace:
        names = [b.statistics.names for b in scan(trace.reader, ["rms"], N_BLOCK)]
    assert [set(found) for found in names] == [
        {"rms", *NONFINITE} if i == 4 else {"rms"} for i in range(6)
    ]
