"""Traces that no recorder wrote: whatever their fields and numbers, a TraceError or an answer.

Their checksums are right, so that only validation is between them and the analyzer.
"""

import copy
import json
import shutil
import warnings
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deeplocalize.analyzer import analyze
from deeplocalize.analyzer.cli import main as analyze_main
from deeplocalize.analyzer.reports import REPORTS, Style
from deeplocalize.analyzer.reports.html.views import views_of
from deeplocalize.traces import (
    ITERATIONS,
    STATISTICS,
    Block,
    Column,
    Event,
    Header,
    Kind,
    Table,
    Tensor,
    TraceError,
    TraceFieldError,
    TraceWriter,
    convert,
    create_writer,
    open_trace,
)
from deeplocalize.traces.convert import main as convert_main

from .analyzer.runs import HEADER, FakeRun
from .traces.build import SUFFIXES

FUZZ = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
JSON = st.recursive(
    st.sampled_from([None, True, -1, 0, 10**30, -(2**63), 1.5, float("nan"), float("inf"), "", "x"])
    | st.integers()
    | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=3), children, max_size=3)
    ),
    max_leaves=6,
)
INTEGERS = st.sampled_from([-(2**63), -5, -1, 0, 1, 7, 2**31, 2**63 - 1])
NUMBERS = st.sampled_from(
    [float("nan"), float("inf"), float("-inf"), -1e308, 1e308, -1.0, 0.0, 5e-324, 1.0]
)


@dataclass(frozen=True)
class RawHeader:
    """A header whose document says whatever it likes."""

    document: Any
    series: tuple[object, ...] = HEADER.series

    def to_json(self) -> str:
        return json.dumps(self.document)


def genuine() -> dict[str, Any]:
    """The document of a header as Keras models have them, configurations included."""
    configs: list[dict[str, Any]] = [
        {"units": 8, "activation": "relu", "use_bias": True, "kernel_regularizer": None,
         "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}}},
        {"filters": 4, "kernel_size": [3, 3], "strides": [1, 1], "rate": 0.5,
         "kernel_initializer": {"class_name": "RandomNormal", "config": {"stddev": 0.05}}},
    ]  # fmt: skip
    layers = tuple(
        replace(layer, config=configs[i % 2], input_shapes=((None, 8),), output_shapes=((None, 8),))
        for i, layer in enumerate(HEADER.layers)
    )
    header = replace(
        HEADER,
        layers=layers,
        loss={"class_name": "CategoricalCrossentropy", "config": {"from_logits": True}},
        n_epochs=3,
        steps_per_epoch=20,
        metrics=("accuracy",),
        versions={"keras": "3.0"},
    )
    document: dict[str, Any] = json.loads(header.to_json())
    return document


@st.composite
def damaged_documents(draw: st.DrawFn) -> Any:
    """A header's document in which some fields are replaced, removed or doubled."""
    document = copy.deepcopy(genuine())
    for _ in range(draw(st.integers(1, 3))):
        node: Any = document
        while True:
            keys = sorted(node) if isinstance(node, dict) else list(range(len(node)))
            key = draw(st.sampled_from(keys))
            is_leaf = not isinstance(node[key], dict | list) or not node[key]
            if is_leaf or draw(st.integers(0, 3)) == 0:
                break
            node = node[key]
        match draw(st.sampled_from(["replace", "remove", "double"])):
            case "replace":
                node[key] = draw(JSON)
            case "remove":
                del node[key]
            case _:
                node[key] = [node[key], node[key]]
        if not document:
            break
    return document


@st.composite
def hostile_blocks(draw: st.DrawFn) -> Block:
    """Columns of the right types, full of numbers that no training has."""
    run = FakeRun(draw(st.sampled_from([1, 2, 60])))
    block = run.block()
    iterations = {name: block.iterations[name].copy() for name in block.iterations.names}
    statistics = {name: block.statistics[name].copy() for name in block.statistics.names}
    for _ in range(draw(st.integers(1, 8))):
        column = draw(st.sampled_from([*ITERATIONS[1:], *STATISTICS]))
        values = (iterations if column in ITERATIONS else statistics)[column.name]
        row = draw(st.integers(0, len(values) - 1))
        until = draw(st.sampled_from([row + 1, len(values)]))
        series = draw(st.sampled_from([slice(None), slice(0, 1), slice(3, 4)]))
        part = values[row:until]
        (part if part.ndim == 1 else part[:, series])[...] = _number(draw, column)
    if draw(st.booleans()):
        iterations["iteration"] = iterations["iteration"] + draw(st.sampled_from([7, 2**62]))
    return Block(
        Table(ITERATIONS, iterations), iterations["iteration"], Table(STATISTICS, statistics)
    )


def _number(draw: st.DrawFn, column: Column) -> Any:
    if column.dtype == "float64":
        return draw(NUMBERS)
    value = draw(INTEGERS)
    return value if column.dtype == "int64" else abs(value)


@pytest.fixture(params=SUFFIXES)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"run{request.param}"


@pytest.mark.parametrize("optimizer", [{"config": None}, {"config": 3}, {"class_name": []}])
def test_an_optimizer_without_a_configuration_is_used(path: Path, optimizer: Any) -> None:
    run = FakeRun(60)
    run.iterations["loss"] = np.linspace(1, 2, 60)  # a failed run, in which all is looked at
    write(path, json.loads(run.header.to_json()) | {"optimizer": optimizer}, run.block())
    use(path)


@FUZZ
@given(document=damaged_documents())
def test_any_header_is_refused_by_name_or_used(path: Path, document: Any) -> None:
    write(path, document, FakeRun(30).block())
    use(path)


@FUZZ
@given(block=hostile_blocks())
def test_any_numbers_are_refused_or_analysed(path: Path, block: Block) -> None:
    write(path, genuine(), block)
    use(path)


@FUZZ
@given(
    name=st.sampled_from(["begin", "end", "epoch", "limit", "anomaly", "dance"]),
    details=st.dictionaries(st.sampled_from(["status", "epoch", "logs"]), JSON),
    iteration=st.integers(),
    n_dimensions=st.integers(0, 3),
    series=st.integers(-2, 99),
)
def test_any_events_and_tensors_are_refused_or_used(
    path: Path, name: str, details: dict[str, Any], iteration: int, n_dimensions: int, series: int
) -> None:
    writer = a_new_writer(path)
    writer.write_header(HEADER)
    writer.append(FakeRun(3).block())
    with suppress(TraceError, OverflowError):  # what does not fit a column is not stored
        writer.append_events([Event(name, "m", iteration, 0.0, details)])
        writer.append_tensors([Tensor(1, series, np.zeros((0, 2, 3)[:n_dimensions]))])
    writer.close()
    use(path)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"layers": "dense"}, "header: layers: wanted a list, found 'dense'"),
        ({"n_epochs": True}, "header: n_epochs: wanted an integer from 0 on, found True"),
        (
            {"loss": 3, "seed": 1 << 64},
            "header: seed: wanted an integer, found 18446744073709551616",
        ),
        ({"series": [{"kind": "output"}]}, "header: series[0].position: is missing"),
        ({"series": [{"kind": "x", "position": 0}]}, "header: series[0].kind: wanted one of input"),
        ({"data": [{}]}, "header: data[0].role: is missing"),
        ({"versions": {"keras": 3}}, "header: versions.keras: wanted a text, found 3"),
    ],
)
def test_the_field_that_is_wrong_is_named_in_one_line(
    path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], message: str
) -> None:
    write(path, {**genuine(), **change}, FakeRun(30).block())
    with pytest.raises(TraceFieldError) as caught:
        open_trace(path)
    assert message in str(caught.value)
    target = str(path.with_name("other.h5"))
    for main, arguments in ((analyze_main, [str(path)]), (convert_main, [str(path), target])):
        assert main(arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
    assert list(path.parent.iterdir()) == [path]


def test_a_series_of_a_layer_that_is_missing_is_refused(path: Path) -> None:
    series = [{"kind": Kind.OUTPUT, "position": 0, "layer": 9}]
    write(path, json.loads(Header().to_json()) | {"series": series}, FakeRun(3).block())
    with pytest.raises(TraceFieldError, match="layer 9, but there are 0 layers"):
        open_trace(path)


def a_new_writer(path: Path) -> TraceWriter:
    """A writer where the trace of an earlier example may stand, not to be recognized as one."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    return create_writer(path)


def write(path: Path, document: Any, block: Block) -> None:
    """A trace with whatever header."""
    writer: Any = a_new_writer(path)
    writer.write_header(RawHeader(document))
    writer.append(block)
    writer.append_events([Event("end", details={"status": "completed"})])
    writer.append_tensors([Tensor(0, 1, np.arange(6.0))])
    writer.close()


def use(path: Path) -> None:
    """Do with a trace all that can be done; only a TraceError may come of it."""
    with suppress(TraceError), open_trace(path) as trace, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # absurd numbers overflow
        assert trace._repr_html_()
        assert len(trace.iterations) == trace.n_iterations
        assert len(trace.layers) == len(trace.header.layers)
        assert len(trace.series) == len(trace.header.series)
        assert set(trace.statistics()["iteration"]) <= set(trace.iterations["iteration"])
        assert len(trace.events) <= 1 and len(trace.tensors) <= 1
        diagnosis = analyze(trace)
        # Drawing takes a second, and what is drawn is in the views.
        assert views_of(trace.reader, diagnosis).overview.n_columns
        for name in REPORTS.keys() - {"html"}:
            assert REPORTS[name](diagnosis, trace.reader, Style(False, True))
    with suppress(TraceError):
        convert(path, path.with_name(f"copy{path.suffix}"), overwrite=True)
