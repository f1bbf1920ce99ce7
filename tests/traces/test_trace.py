"""What a person sees in a notebook: pandas views and the words of failed look-ups."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from deeplocalize.traces import (
    Event,
    Header,
    Kind,
    Layer,
    Series,
    Tensor,
    Trace,
    TraceLookupError,
    create_writer,
    open_trace,
)

from .build import block, cut, joined

LAYERS = (
    Layer(0, "fc1", "model/fc1", "Dense", 0),
    Layer(1, "inner", "model/inner", "Functional", 1),
    Layer(1, "fc1", "model/inner/fc1", "Dense", 2),
)
SERIES = (
    Series(Kind.INPUT, 0, tensor="x"),
    Series(Kind.OUTPUT, 1, layer=0),
    Series(Kind.OUTPUT, 2, layer=2, call=0),
    Series(Kind.OUTPUT, 3, layer=2, call=1),
    Series(Kind.WEIGHT, 4, layer=0, tensor="kernel"),
    Series(Kind.WEIGHT, 5, layer=0, tensor="bias"),
    Series(Kind.METRIC, 6, tensor="accuracy"),
)
BLOCKS = (block(0, 4, 7), block(4, 4, 7, recorded=[4, 6]), block(8, 4, 7))
Look = Callable[[Trace], object]
EVENTS = [Event("begin"), Event("end", "done", 11, 2.5, {"reason": "completed"})]


@pytest.fixture
def trace(path: Path) -> Trace:
    return written(path)


def written(path: Path, events: list[Event] = EVENTS) -> Trace:
    """A trace of two layers, one of them called twice, opened."""
    writer = create_writer(path)
    writer.write_header(Header(layers=LAYERS, series=SERIES))
    for part in BLOCKS:
        writer.append(part)
    writer.append_tensors([Tensor(5, 1, np.eye(3)), Tensor(5, 4, np.ones(2))])
    writer.append_tensors([Tensor(5, 5, np.zeros(2)), Tensor(9, 0, np.array(7))])
    writer.append_events(events)
    writer.close()
    return open_trace(path)


def test_a_trace_says_what_it_is(trace: Trace) -> None:
    assert repr(trace).endswith("12 iterations, 3 layers, 7 series>")
    assert (trace.n_iterations, trace.header.layers) == (12, LAYERS)


def test_a_trace_closes_with_its_block(path: Path) -> None:
    with written(path) as trace:
        assert trace.n_iterations == 12
    assert repr(trace).startswith("<Trace ")
    with pytest.raises(ValueError, match="closed"):
        _ = trace.iterations


def test_iterations_are_rows_with_the_metrics_as_columns(trace: Trace) -> None:
    frame = trace.iterations
    expected = joined(*BLOCKS)
    assert frame["iteration"].tolist() == list(range(12))
    np.testing.assert_array_equal(frame["loss"], expected.iterations["loss"])
    accuracy = frame.set_index("iteration")["accuracy"]
    np.testing.assert_array_equal(accuracy[expected.recorded], expected.statistics["mean"][:, 6])
    assert accuracy[[5, 7]].isna().all()


def test_a_metric_named_as_a_column_gets_a_name_of_its_own(path: Path) -> None:
    series = (Series(Kind.METRIC, 0, tensor="loss"),)
    writer = create_writer(path)
    writer.write_header(Header(series=series))
    writer.append(block(0, 4, 1))
    writer.close()
    frame = open_trace(path).iterations
    np.testing.assert_array_equal(frame["metric_loss"], block(0, 4, 1).statistics["mean"][:, 0])


def test_layers_and_series_are_rows(trace: Trace) -> None:
    assert trace.layers["path"].tolist() == [layer.path for layer in LAYERS]
    series = trace.series
    assert series["kind"].tolist() == [str(s.kind) for s in SERIES]
    assert series["layer"].tolist()[1:4] == ["fc1", "fc1", "fc1"]
    assert pd.isna(series["layer"][0])
    assert series["phase"][0] == "input"


def test_events_are_rows(trace: Trace) -> None:
    assert trace.events["name"].tolist() == ["begin", "end"]
    assert trace.events["details"][1] == {"reason": "completed"}


@pytest.mark.parametrize(
    "events, ended",
    [
        ([], None),
        ([Event("begin")], None),
        ([Event("begin"), Event("end")], {}),
        ([Event("begin"), Event("end", details={"reason": "completed"})], {"reason": "completed"}),
        ([Event("begin"), Event("end"), Event("begin")], None),
    ],
)
def test_a_run_has_ended_when_its_last_event_says_so(
    path: Path, events: list[Event], ended: dict[str, str] | None
) -> None:
    assert written(path, events).ended == ended


def test_statistics_of_everything_have_a_row_for_each_recorded_cell(trace: Trace) -> None:
    frame = trace.statistics()
    expected = joined(*BLOCKS)
    assert len(frame) == (expected.statistics["n"] >= 0).sum() == 10 * 7
    np.testing.assert_array_equal(frame["rms"], expected.statistics["rms"].ravel())
    assert frame["checksum"].dtype == np.uint64


def test_statistics_are_chosen_by_layer_kind_tensor_and_call(trace: Trace) -> None:
    expected = joined(*BLOCKS).statistics["rms"]

    def assert_is(frame: pd.DataFrame, series: list[int]) -> None:
        np.testing.assert_array_equal(frame["rms"], expected[:, series].ravel())

    assert_is(trace.statistics(layer="model/fc1"), [1, 4, 5])
    assert_is(trace.statistics(layer="fc1"), [1, 2, 3, 4, 5])
    assert_is(trace.statistics(layer=2), [2, 3])
    assert_is(trace.statistics(kind="output"), [1, 2, 3])
    assert_is(trace.statistics(kind=Kind.OUTPUT, call=1), [3])
    assert_is(trace.statistics(layer=0, kind="weight", tensor="bias"), [5])


def test_statistics_name_iteration_and_epoch_of_each_row(trace: Trace) -> None:
    frame = trace.statistics(layer=0, kind="output", start=3, stop=9)
    expected = cut(joined(*BLOCKS), 3, 9)
    assert frame["iteration"].tolist() == [3, 4, 6, 8]
    epochs = dict(zip(expected.iterations["iteration"], expected.iterations["epoch"], strict=True))
    assert frame["epoch"].tolist() == [epochs[i] for i in frame["iteration"]]
    assert frame["layer"].tolist() == ["fc1"] * 4


def test_statistics_of_no_iterations_still_have_their_columns(trace: Trace) -> None:
    frame = trace.statistics(start=5, stop=5)
    assert len(frame) == 0
    assert frame.columns.tolist() == trace.statistics().columns.tolist()
    assert len(trace.statistics(start=100)) == 0


def test_statistics_do_not_depend_on_the_chunks_they_are_read_in(
    trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, iterations = trace.statistics(), trace.iterations
    monkeypatch.setattr("deeplocalize.traces.trace._CHUNK_ITERATIONS", 3)
    pd.testing.assert_frame_equal(trace.statistics(), whole)
    pd.testing.assert_frame_equal(trace.iterations, iterations)


def test_iterations_that_begin_late_and_skip_are_found_by_their_number(path: Path) -> None:
    content = block(100, 3, 7)
    content.iterations["iteration"][:] = content.recorded[:] = [100, 200, 300]
    writer = create_writer(path)
    writer.write_header(Header(layers=LAYERS, series=SERIES))
    writer.append(content)
    writer.close()
    frame = open_trace(path).statistics(layer=0, kind="output", start=101, stop=300)
    assert frame["iteration"].tolist() == [200]


def test_full_tensors_are_listed_and_read(trace: Trace) -> None:
    frame = trace.tensors
    assert frame["iteration"].tolist() == [5, 5, 5, 9]
    assert frame["tensor"].tolist() == ["", "kernel", "bias", "x"]
    np.testing.assert_array_equal(trace.tensor(5, "model/fc1"), np.eye(3))
    first = trace.layers["index"].iloc[0]  # one of NumPy's integers
    np.testing.assert_array_equal(trace.tensor(5, first, "weight", "bias"), np.zeros(2))
    assert trace.tensor(9, kind="input") == 7
    of_no_layer = frame["layer"].iloc[3]  # as the frame has it
    assert pd.isna(of_no_layer) and trace.tensor(9, of_no_layer, "input") == 7
    assert trace.statistics(layer=of_no_layer)["layer"].isna().all()


@pytest.mark.parametrize(
    "look_up, words",
    [
        (lambda t: t.statistics(layer="fc11"), "did you mean fc1"),
        (lambda t: t.statistics(layer="zzz"), "there is fc1, inner"),
        (lambda t: t.statistics(layer=3), "3 layers"),
        (lambda t: t.statistics(kind="outputs"), "did you mean output"),
        (lambda t: t.statistics(kind="loss"), "there is input, output, weight, metric"),
        (lambda t: t.statistics(kind="weight_update"), "there is input, output, weight, metric"),
        (lambda t: t.statistics(layer=2, kind="weight"), "of layer 'fc1'.* there is output"),
        (lambda t: t.statistics(layer=0, tensor="kernle"), "did you mean kernel"),
        (lambda t: t.statistics(layer=2, call=2), "there is 0, 1"),
        (lambda t: t.tensor(6, "model/fc1"), "there is one in 5"),
        (lambda t: t.tensor(5, "model/inner/fc1"), "there is none in this trace"),
        (lambda t: t.tensor(5, 0, "weight"), "choose tensor= from kernel, bias"),
        (lambda t: t.tensor(5), "choose layer= from model/fc1, model/inner/fc1"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(
    trace: Trace, look_up: Look, words: str
) -> None:
    with pytest.raises(TraceLookupError, match=words):
        look_up(trace)


def test_refreshing_shows_what_was_flushed_since(path: Path) -> None:
    writer = create_writer(path)
    writer.write_header(Header(layers=LAYERS, series=SERIES))
    trace = open_trace(path)
    assert len(trace.iterations) == 0
    writer.append(BLOCKS[0])
    writer.append_events(EVENTS)
    writer.flush()
    trace.refresh()
    assert len(trace.iterations) == 4
    assert trace.ended == {"reason": "completed"}
    writer.close()


def test_layers_that_share_a_name_are_all_meant_by_it(path: Path) -> None:
    layers = (*LAYERS, replace(LAYERS[0], path="model/other/fc1"))
    writer = create_writer(path)
    writer.write_header(Header(layers=layers, series=(*SERIES, Series(Kind.OUTPUT, 7, layer=3))))
    writer.append(block(0, 2, 8))
    writer.close()
    assert len(open_trace(path).statistics(layer="fc1", kind="output")) == 2 * 4
