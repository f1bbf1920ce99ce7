"""Rows of statistics: they come back as they were appended, in any parts."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deeplocalize.traces import (
    Block,
    Kind,
    Series,
    TraceLookupError,
    create_writer,
    open_reader,
)

from ..build import (
    assert_same,
    block,
    cut,
    header,
    joined,
    unrecorded_block,
    widened,
    write_trace,
)


def test_blocks_come_back_as_one(path: Path) -> None:
    blocks = [block(0, 4), block(4, 1), block(5, 7)]
    writer = create_writer(path)
    writer.write_header(header())
    for part in blocks:
        writer.append(part)
    writer.close()
    reader = open_reader(path)
    assert reader.n_iterations == 12
    assert_same(reader.read(), joined(*blocks))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sizes=st.lists(st.integers(0, 9), max_size=5),
    every=st.integers(1, 4),
    n_series=st.integers(0, 20),
    data=st.data(),
)
def test_any_division_into_blocks_gives_the_same_trace(
    path: Path, sizes: list[int], every: int, n_series: int, data: st.DataObject
) -> None:
    n_rows = sum(sizes)
    whole = block(0, n_rows, n_series, recorded=list(range(0, n_rows, every)))
    writer = create_writer(path, overwrite=True)
    writer.write_header(header(n_series))
    first = 0
    for size in sizes:
        writer.append(cut(whole, first, first + size))
        first += size
    writer.close()
    start, stop = data.draw(st.integers(0, n_rows)), data.draw(st.integers(0, n_rows))
    reader = open_reader(path)
    assert_same(reader.read(), whole)
    assert_same(reader.read(start, stop), cut(whole, start, max(start, stop)))
    reader.close()


@pytest.mark.parametrize("start, stop", [(0, 5), (3, 4), (4, 8), (2, 11), (11, 99), (5, 5), (9, 3)])
def test_any_range_of_rows_can_be_read(path: Path, start: int, stop: int) -> None:
    write_trace(path, n_blocks=3)
    whole = joined(block(0), block(4), block(8))
    found = open_reader(path).read(start, stop)
    rows = slice(start, max(start, stop))
    np.testing.assert_array_equal(found.recorded, whole.recorded[rows])
    np.testing.assert_array_equal(found.iterations["loss"], whole.iterations["loss"][rows])
    np.testing.assert_array_equal(found.statistics["rms"], whole.statistics["rms"][rows])
    iterations = open_reader(path).iterations(start, stop)
    np.testing.assert_array_equal(iterations["loss"], whole.iterations["loss"][rows])


def test_only_the_named_columns_are_read(path: Path) -> None:
    write_trace(path)
    found = open_reader(path).read(2, 6, columns=["rms", "n_nan"])
    assert found.statistics.names == ("n_nan", "rms")
    expected = joined(block(0), block(4))
    np.testing.assert_array_equal(found.statistics["rms"], expected.statistics["rms"][2:6])


def test_an_unknown_column_is_refused_by_name(path: Path) -> None:
    write_trace(path)
    with pytest.raises(TraceLookupError, match="variance"):
        open_reader(path).read(columns=["variance"])


def test_iterations_without_statistics_keep_their_place(path: Path) -> None:
    blocks = [block(0, 4, recorded=[1, 3]), block(4, 4, recorded=[]), block(8, 4, recorded=[8])]
    writer = create_writer(path)
    writer.write_header(header())
    for part in blocks:
        writer.append(part)
    writer.close()
    reader = open_reader(path)
    assert_same(reader.read(), joined(*blocks))
    assert reader.read(2, 9).recorded.tolist() == [3, 8]
    assert reader.read(4, 8).recorded.tolist() == []


def test_a_recorded_iteration_in_which_nothing_was_seen_is_still_recorded(path: Path) -> None:
    writer = create_writer(path)
    writer.write_header(header())
    writer.append(unrecorded_block(0, 3, n_series=3))
    writer.close()
    found = open_reader(path).read()
    assert found.recorded.tolist() == [0, 1, 2]
    assert (found.statistics["n"] == -1).all()


def test_series_added_later_are_missing_in_earlier_iterations(path: Path) -> None:
    writer = create_writer(path)
    writer.write_header(header(2))
    writer.append(block(0, n_series=2))
    grown = header(2).with_series((Series(Kind.LOSS, 9), Series(Kind.LOSS, 10)))
    writer.write_header(grown)
    writer.append(block(4, n_series=4))
    writer.append(block(8, n_series=3))
    writer.close()
    reader = open_reader(path)
    assert reader.header == grown
    expected = [widened(block(0, n_series=2), 4), block(4, n_series=4)]
    assert_same(reader.read(), joined(*expected, widened(block(8, n_series=3), 4)))


def test_an_empty_append_changes_nothing(path: Path) -> None:
    writer = create_writer(path)
    writer.write_header(header())
    writer.append(block(0, n_rows=0))
    writer.append_events([])
    writer.append_tensors([])
    writer.append(block(0))
    writer.close()
    reader = open_reader(path)
    assert_same(reader.read(), block(0))
    assert list(reader.events()) == []
    assert list(reader.tensor_entries()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(block(3, 4), id="goes back"),
        pytest.param(block(4, 2, n_series=4), id="more series than the header"),
        pytest.param(block(4, 2, recorded=[6]), id="recorded outside the block"),
        pytest.param(block(4, 2, recorded=[5, 4]), id="recorded not increasing"),
    ],
)
def test_a_block_that_cannot_follow_is_refused_and_harms_nothing(path: Path, wrong: Block) -> None:
    writer = create_writer(path)
    writer.write_header(header())
    writer.append(block(0, 4))
    with pytest.raises(ValueError):
        writer.append(wrong)
    writer.append(block(4, 4))
    writer.close()
    assert_same(open_reader(path).read(), joined(block(0), block(4)))
