"""What a trace format means: both pass this suite, and a new one is finished when it does."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from deeplocalize.traces import (
    FORMAT_VERSION,
    Block,
    DataSummary,
    Event,
    FeatureSummary,
    Histogram,
    Kind,
    Series,
    Tensor,
    TraceFormatError,
    TraceLookupError,
    TraceVersionError,
    create_writer,
    open_reader,
)
from deeplocalize.traces.tensors import DTYPES

from .build import (
    assert_same,
    assert_same_array,
    block,
    cut,
    header,
    joined,
    unrecorded_block,
    widened,
    with_version,
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


def test_a_header_without_series_is_enough(path: Path) -> None:
    writer = create_writer(path)
    writer.write_header(header(0))
    writer.append(block(0, n_series=0))
    writer.close()
    assert_same(open_reader(path).read(), block(0, n_series=0))


def test_the_last_header_counts(path: Path) -> None:
    writer = create_writer(path)
    for name in ("first", "second"):
        writer.write_header(header(model_name=name))
    writer.close()
    assert open_reader(path).header.model_name == "second"


def test_what_the_data_looked_like_comes_back(path: Path) -> None:
    features = FeatureSummary(3, 40, 1, (2,), 0.5, 1, 0.6, 1.1)
    told = DataSummary(Kind.INPUT, "x", (None, 3), "float32", 40, features=features)
    untold = DataSummary(Kind.LABEL, "y", (None,), "int64", class_counts={"0": 40})
    writer = create_writer(path)
    writer.write_header(header(data=(told, untold)))
    writer.close()
    assert open_reader(path).header.data == (told, untold)


def test_names_of_any_script_survive(path: Path) -> None:
    wanted = header(model_name="Ünïcødé 模型 🙂\n", optimizer={"имя": "Адам"})
    writer = create_writer(path)
    writer.write_header(wanted)
    writer.append_events([Event("note", "Zażółć gęślą\u2028jaźń")])
    writer.close()
    reader = open_reader(path)
    assert reader.header == wanted
    assert reader.events()[0].message == "Zażółć gęślą\u2028jaźń"


def test_nothing_appears_under_the_name_before_the_first_header(path: Path) -> None:
    writer = create_writer(path)
    writer.flush()
    assert not path.exists()
    writer.close()
    assert list(path.parent.iterdir()) == []


def test_another_reader_sees_what_was_flushed(path: Path) -> None:
    writer = create_writer(path)
    writer.write_header(header())
    reader = open_reader(path)
    assert reader.n_iterations == 0
    writer.append(block(0))
    writer.append_events([Event("note", "one")])
    writer.append_tensors([Tensor(0, 1, np.arange(3))])
    writer.flush()
    assert open_reader(path).n_iterations == 4
    assert reader.n_iterations == 0
    reader.refresh()
    assert_same(reader.read(), block(0))
    assert [event.message for event in reader.events()] == ["one"]
    assert [entry.series for entry in reader.tensor_entries()] == [1]
    writer.close()


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


def test_closing_twice_is_the_same_as_once(path: Path) -> None:
    writer = create_writer(path)
    writer.write_header(header())
    writer.close()
    writer.close()
    reader = open_reader(path)
    reader.close()
    reader.close()


def test_a_closed_trace_is_used_no_more(path: Path) -> None:
    write_trace(path)
    reader = open_reader(path)
    reader.close()
    with pytest.raises(ValueError, match="closed"):
        reader.read()
    with pytest.raises(ValueError, match="closed"):
        reader.refresh()


def test_a_closed_writer_is_used_no_more(path: Path) -> None:
    writer = create_writer(path)
    writer.write_header(header())
    writer.close()
    with pytest.raises(ValueError, match="closed"):
        writer.append(block(0))


def test_the_header_comes_first(path: Path) -> None:
    writer = create_writer(path)
    with pytest.raises(ValueError, match="header"):
        writer.append(block(0))
    with pytest.raises(ValueError, match="header"):
        writer.append_events([Event("note")])
    with pytest.raises(ValueError, match="header"):
        writer.append_tensors([Tensor(0, 0, np.zeros(1))])
    writer.close()


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


def test_events_come_back_in_order_with_their_details(path: Path) -> None:
    events = [
        Event("begin", "", -1, 0.0, {}),
        Event("anomaly", "NaN in fc", 3, 0.25, {"layers": ["fc"], "values": [1.5, None, {"a": 1}]}),
        Event("end", "done", 4, 1e9, {"reason": "completed"}),
    ]
    writer = create_writer(path)
    writer.write_header(header())
    writer.append_events(events[:1])
    writer.append_events(events[1:])
    writer.close()
    assert list(open_reader(path).events()) == events


def test_details_take_numpy_values_and_objects_as_plain_json(path: Path) -> None:
    details = {"loss": np.float32(1.5), "shape": np.array([2, 3]), "error": ValueError("k")}
    writer = create_writer(path)
    writer.write_header(header())
    writer.append_events([Event("note", details=details)])
    writer.close()
    found = open_reader(path).events()[0].details
    assert found == {"loss": 1.5, "shape": [2, 3], "error": "k"}


def test_histograms_come_back_in_order(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deeplocalize.traces.hdf5_reader._PIECE_BYTES", 50)
    wanted = [Histogram(i, i % 3, -7, (0, i), (5, 2**40), 1, 2, 3, 4) for i in range(9)]
    wanted.append(Histogram(9, 0))
    writer = create_writer(path)
    writer.write_header(header())
    writer.append_histograms(wanted[:4])
    writer.append_histograms([])
    writer.append_histograms(wanted[4:])
    writer.close()
    assert list(open_reader(path).histograms()) == wanted


def test_histograms_of_different_bins_are_refused(path: Path) -> None:
    writer = create_writer(path)
    writer.write_header(header())
    with pytest.raises(ValueError, match="2 and 1 bins"):
        writer.append_histograms([Histogram(0, 0, 0, (1, 2), (3,))])
    writer.close()


def test_histograms_of_a_series_that_is_missing_are_refused(path: Path) -> None:
    writer = create_writer(path)
    writer.write_header(header(3))
    writer.append_histograms([Histogram(0, 3)])
    writer.close()
    with pytest.raises(TraceFormatError, match="series 3"):
        list(open_reader(path).histograms())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 0, 3), (2, 3, 4)])
def test_tensors_of_every_dtype_and_shape_come_back(
    path: Path, dtype: str, shape: tuple[int, ...]
) -> None:
    values = np.random.default_rng(0).integers(0, 2, size=shape).astype(dtype)
    assert_same_array(_stored(path, values), values)


def test_nan_payloads_infinities_and_signed_zeros_of_tensors_survive(path: Path) -> None:
    bits = np.array([0x7FC00001, 0xFFC12345, 0x7F800000, 0xFF800000, 0x80000000, 1], np.uint32)
    values = bits.view(np.float32)
    assert_same_array(_stored(path, values), values)


def test_tensors_of_any_memory_order_come_back_in_c_order(path: Path) -> None:
    values = np.arange(24.0).reshape(2, 3, 4)
    assert_same_array(_stored(path, values.transpose(2, 0, 1)), values.transpose(2, 0, 1).copy())


def test_big_endian_tensors_come_back_as_the_machine_has_them(path: Path) -> None:
    values = np.arange(5, dtype=">f4")
    assert_same_array(_stored(path, values), np.arange(5, dtype="f4"))


def test_bfloat16_comes_back_as_the_float32_that_holds_it(path: Path) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    values = np.array([1.0, -2.5, np.inf, 3e38], dtype=ml_dtypes.bfloat16)
    assert_same_array(_stored(path, values), values.astype(np.float32))


def test_tensors_of_objects_are_refused(path: Path) -> None:
    writer = create_writer(path)
    writer.write_header(header())
    with pytest.raises(ValueError, match="object"):
        writer.append_tensors([Tensor(0, 0, np.array([None]))])
    writer.close()


def test_a_buffer_may_be_used_again_after_its_tensor_was_appended(path: Path) -> None:
    buffer = np.ones(4)
    writer = create_writer(path)
    writer.write_header(header())
    writer.append_tensors([Tensor(0, 0, buffer)])
    buffer[:] = 7
    writer.close()
    reader = open_reader(path)
    assert reader.read_tensor(reader.tensor_entries()[0]).tolist() == [1, 1, 1, 1]


def test_many_large_tensors_are_found_one_by_one(path: Path) -> None:
    tensors = [Tensor(i, i % 3, np.full(300_000, i)) for i in range(12)]
    writer = create_writer(path)
    writer.write_header(header())
    writer.append_tensors(tensors[:10])
    writer.append_tensors(tensors[10:])
    writer.close()
    reader = open_reader(path)
    entries = reader.tensor_entries()
    assert [(e.iteration, e.series) for e in entries] == [(t.iteration, t.series) for t in tensors]
    for entry, tensor in zip(entries, tensors, strict=True):
        assert_same_array(reader.read_tensor(entry), tensor.values)


def test_a_file_of_the_other_name_is_told_by_its_content(path: Path) -> None:
    write_trace(path)
    renamed = path.rename(path.with_name("trace.bin"))
    assert open_reader(renamed).n_iterations == 12


def test_every_earlier_version_is_read(path: Path) -> None:
    for version in range(1, FORMAT_VERSION):
        with_version(path, version)
        reader = open_reader(path)
        assert_same(reader.read(0, 4), block())
        assert not any(series.replayed for series in reader.header.series)
        reader.close()


def test_a_replayed_series_stays_one(path: Path) -> None:
    check = Series(Kind.REPLAY_ERROR, 1, shape=(None,), dtype="int64", replayed=True)
    writer = create_writer(path)
    writer.write_header(header(1).with_series((check,)))
    writer.append(block(n_series=2))
    writer.close()
    reader = open_reader(path)
    assert reader.header.series[1] == check
    assert_same(reader.read(), block(n_series=2))
    reader.close()


def test_a_newer_version_is_refused_with_the_way_out(path: Path) -> None:
    with_version(path, FORMAT_VERSION + 1)
    with pytest.raises(TraceVersionError, match="upgrade deeplocalize"):
        open_reader(path)


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


def _stored(path: Path, values: NDArray[Any]) -> NDArray[Any]:
    """A tensor after its way through a trace."""
    writer = create_writer(path)
    writer.write_header(header())
    writer.append_tensors([Tensor(7, 1, values)])
    writer.close()
    reader = open_reader(path)
    (entry,) = reader.tensor_entries()
    assert (entry.iteration, entry.series, entry.shape) == (7, 1, values.shape)
    return reader.read_tensor(entry)
