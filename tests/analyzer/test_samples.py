from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from deeplocalize.analyzer.diagnosis import diagnose
from deeplocalize.analyzer.guilty import MAX_ROWS, GuiltyRows
from deeplocalize.analyzer.histograms import N_BINS, histograms
from deeplocalize.analyzer.places import Place
from deeplocalize.analyzer.reports import REPORTS, Style, html
from deeplocalize.analyzer.samples import GuiltySamples, guilty_samples
from deeplocalize.traces import Histogram as Recorded
from deeplocalize.traces import Kind, Tensor, Trace, create_writer, open_trace

from .runs import FakeRun

AT = 22
FIRST = "0, 1, 2, 3, 4, 5, 6, 7"


def broken() -> FakeRun:
    run = FakeRun().put(AT, Kind.OUTPUT, "fc1", n_nan=3)
    return run.breaks(AT, Kind.OUTPUT, "fc1")


def stored(path: Path, run: FakeRun, **tensors: NDArray[np.float32]) -> Trace:
    """The run as a trace that holds the input ``x`` and ``fc1``'s output ``h`` in full."""
    series = {"x": run.index(Kind.INPUT), "h": run.index(Kind.OUTPUT, "fc1")}
    writer = create_writer(path)
    writer.write_header(run.header)
    writer.append(run.block())
    writer.append_tensors([Tensor(AT, series[name], values) for name, values in tensors.items()])
    writer.close()
    return open_trace(path)


def batch() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    h = np.ones((2, 4), np.float32)
    h[1, [0, 3]] = np.nan, -np.inf
    return x, h


def found(trace: Trace) -> GuiltySamples | None:
    return guilty_samples(trace.reader, diagnose(trace.reader).first_fault)


def test_the_guilty_rows_are_named_with_what_went_into_them(tmp_path: Path) -> None:
    x, h = batch()
    with stored(tmp_path / "run.h5", broken(), x=x, h=h) as trace:
        guilty = found(trace)
    assert guilty is not None
    assert (guilty.n_guilty, guilty.n_samples) == (1, 2)
    (sample,) = guilty.samples
    assert (sample.index, sample.n_nonfinite) == (1, 2)
    assert [element.index for element in sample.elements] == [(0,), (3,)]
    assert [element.input_value for element in sample.elements] == [4, 7]
    assert sample.excerpts[0].values == (4, 5, 6, 7)


def test_without_full_tensors_or_a_fault_nobody_is_blamed(tmp_path: Path) -> None:
    x, h = batch()
    with stored(tmp_path / "a.h5", broken()) as trace:
        assert found(trace) is None
    with stored(tmp_path / "b.h5", FakeRun(), x=x, h=h) as trace:
        assert found(trace) is None


@pytest.mark.parametrize("form", ["text", "markdown", "json"])
def test_every_report_names_the_guilty_rows(form: str, tmp_path: Path) -> None:
    x, h = batch()
    with stored(tmp_path / "run.h5", broken(), x=x, h=h) as trace:
        diagnosis = diagnose(trace.reader)
        report = " ".join(REPORTS[form](diagnosis, trace.reader, Style()).split())
        shown = diagnosis._repr_html_()
    sentence = 'Batch row 1 (of 2) of the output of layer 0 "fc1" (Dense) carries it.'
    rows = '"first": [ 1 ], "n_guilty": 1, "n_samples": 2'
    assert (rows if form == "json" else sentence) in report
    assert sentence.replace('"', "&quot;") in shown


@pytest.mark.parametrize(
    ("guilty", "n_samples", "words"),
    [
        ([3], 8, "Batch row 3 (of 8) of the input carries it."),
        ([3, 17], 32, "Batch rows 3 and 17 (of 32) of the input carry it."),
        (range(10), 32, f"Batch rows {FIRST} and 2 more (of 32) of the input carry it."),
        (range(8), 8, "All 8 batch rows of the input carry it."),
        ([0], 1, "The only batch row of the input carries it."),
    ],
)
def test_guilty_rows_are_told_in_words(guilty: Sequence[int], n_samples: int, words: str) -> None:
    place = Place(None, Kind.INPUT, "", 0, 0, 0)
    shown = tuple(guilty)[:MAX_ROWS]
    assert str(GuiltyRows(place, shown, len(guilty), n_samples)) == words


def test_the_html_report_shows_the_guilty_samples(tmp_path: Path) -> None:
    x, h = batch()
    with stored(tmp_path / "run.h5", broken(), x=x, h=h) as trace:
        page = html.render(diagnose(trace.reader), trace.reader)
    assert "is not finite for\n      1 of 2 samples of the batch" in page
    assert "<code>[3]</code> is -inf, input 7" in page


def test_a_histogram_counts_every_finite_element(tmp_path: Path) -> None:
    x, h = batch()
    with stored(tmp_path / "run.h5", broken(), x=x, h=h) as trace:
        by_series = histograms(trace.reader, AT)
    run = broken()
    of_x, of_h = by_series[run.index(Kind.INPUT)], by_series[run.index(Kind.OUTPUT, "fc1")]
    assert (of_x.min, of_x.max, sum(of_x.counts), len(of_x.counts)) == (0, 7, 8, N_BINS)
    assert (sum(of_h.counts), of_h.n_nonfinite) == (6, 2)


def test_recorded_histograms_are_shown_where_no_tensor_is_held(tmp_path: Path) -> None:
    run = FakeRun(10)
    path = tmp_path / "run.h5"
    writer = create_writer(path)
    writer.write_header(run.header)
    writer.append(run.block())
    writer.append_histograms(
        [Recorded(i, 4, -2, (1, 0), (2, i), n_zero=9, n_nan=3) for i in (0, 5, 9)]
    )
    writer.append_tensors([Tensor(5, 6, np.arange(4.0))])
    writer.close()
    with open_trace(path) as trace:
        found = histograms(trace.reader, 6)
        assert set(found) == {4, 6}
        one = found[4]
        assert (one.iteration, one.min, one.max, one.counts) == (5, -3.0, -1.0, (3, 5))
        assert (one.n_nonfinite, one.n_zero, one.axis) == (3, 9, "log2 |x|")
        assert (found[6].n_zero, found[6].axis) == (0, "value")
        assert histograms(trace.reader, None)[4].iteration == 9


@pytest.mark.parametrize("value", [3e38, -3e38, 0.0])
def test_extreme_tensors_have_histograms_too(tmp_path: Path, value: float) -> None:
    x = np.array([[value, -value]], np.float32)
    with stored(tmp_path / "run.h5", broken(), x=x) as trace:
        (one,) = histograms(trace.reader, None).values()
    assert sum(one.counts) == 2
