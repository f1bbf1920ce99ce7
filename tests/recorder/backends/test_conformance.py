"""The same model, weights and batches give the same trace on every framework that Keras runs on."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deeplocalize.traces import Kind, Trace, open_trace
from deeplocalize.traces.header import Series

from .trainings import COMPARED, FURTHER, MODES_OF

FRAMEWORKS = ("tensorflow", "jax", "torch")
OTHERS = FRAMEWORKS[1:]

TOLERANCE = 1e-4
"""Of a tensor's largest value: float32, other orders of summation, three steps of momentum."""

FLOOR = 1e-2
"""Largest values below this are taken for it: gradients may be 0 by mathematics, not in float32."""

pytestmark = pytest.mark.slow

Key = tuple[Kind, str, int, str]
"""Kind, path of the layer, call and name of a tensor."""


@dataclass(frozen=True)
class Runs:
    """What one framework left behind."""

    directory: Path
    identical: dict[str, bool]

    def trace(self, training: str) -> Trace:
        return open_trace(self.directory / f"{training}.h5")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: Any) -> Iterator[dict[str, Runs]]:
    """Every training on every framework that is installed, one process each."""
    if not any(map(importlib.util.find_spec, OTHERS)):
        pytest.skip("neither jax nor torch is installed: make test-backends")
    program = Path(__file__).with_name("trainings.py")
    directory = tmp_path_factory.mktemp("runs")
    processes = {
        name: subprocess.Popen(
            [sys.executable, str(program), str(directory / name)],
            env=os.environ | {"KERAS_BACKEND": name, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in FRAMEWORKS
        if importlib.util.find_spec(name) is not None
    }
    found = {}
    for name, process in processes.items():
        _, errors = process.communicate()
        assert process.returncode == 0, errors
        report = json.loads((directory / name / "report.json").read_text())
        found[name] = Runs(directory / name, report)
    yield found


def runs_on(runs: dict[str, Runs], framework: str) -> Runs:
    if framework not in runs:
        pytest.skip(f"{framework} is not installed: pip install 'deeplocalize[{framework}]'")
    return runs[framework]


def series_of(trace: Trace) -> dict[Key, Series]:
    """Series in the order of execution."""
    found = {}
    for series in sorted(trace.header.series, key=lambda s: s.position):
        layer = trace.header.layer_of(series)
        found[series.kind, layer.path if layer else "", series.call, series.tensor] = series
    return found


def left_out(trace: Trace) -> set[tuple[Kind, str]]:
    """What the trace itself says is missing, by kind and layer."""
    layers = trace.header.layers
    return {
        (one.kind, "" if one.layer is None else layers[one.layer].path)
        for one in trace.header.unrecorded
    }


def of_probabilities(keys: Any) -> set[Key]:
    """Gradients by the outputs of layers whose logits' gradients are recorded too.

    TensorFlow has none where Keras derives cross-entropy by the logits.
    """
    with_logits = {key[1:3] for key in keys if key[0] is Kind.PREACTIVATION_GRADIENT}
    return {key for key in keys if key[0] is Kind.OUTPUT_GRADIENT and key[1:3] in with_logits}


def tensors(trace: Trace, series: Series) -> list[NDArray[Any]]:
    """A series' full tensors, iteration by iteration."""
    index = trace.header.series.index(series)
    entries = [e for e in trace.reader.tensor_entries() if e.series == index]
    found = [trace.reader.read_tensor(e) for e in sorted(entries, key=lambda e: e.iteration)]
    return [np.asarray(x, np.float64) for x in found]


def assert_close(values: NDArray[Any], reference: NDArray[Any], what: object) -> None:
    scale = np.abs(reference).max(initial=FLOOR)
    np.testing.assert_allclose(values, reference, rtol=0, atol=TOLERANCE * scale, err_msg=str(what))


@pytest.mark.parametrize("framework", OTHERS)
@pytest.mark.parametrize("case", COMPARED)
def test_the_same_series_are_recorded_in_the_same_order(
    case: str, framework: str, runs: dict[str, Runs]
) -> None:
    with runs_on(runs, framework).trace(case) as trace, runs["tensorflow"].trace(case) as expected:
        found, wanted = series_of(trace), series_of(expected)
        additional = [key for key in found if key not in wanted]
        missing = [key for key in wanted if key not in found]
        allowed = of_probabilities(found)
        said = left_out(expected)
    # What TensorFlow's graph optimizer would notice is left out there, and listed.
    assert [k for k in additional if k not in allowed and k[:2] not in said] == []
    assert missing == []
    assert [k for k in found if k in wanted] == list(wanted)
    for key, one in wanted.items():
        # The first axis may be known (full batches only), or that of an embedding's rows.
        assert found[key].shape[1:] == one.shape[1:]


@pytest.mark.parametrize("framework", OTHERS)
@pytest.mark.parametrize("case", COMPARED)
def test_the_same_values_are_recorded(case: str, framework: str, runs: dict[str, Runs]) -> None:
    with runs_on(runs, framework).trace(case) as trace, runs["tensorflow"].trace(case) as expected:
        found, wanted = series_of(trace), series_of(expected)
        for key in wanted:
            pairs = zip(tensors(trace, found[key]), tensors(expected, wanted[key]), strict=True)
            for values, reference in pairs:
                if values.shape != reference.shape:
                    # Gradients by embeddings: rows on TensorFlow, whole matrices elsewhere.
                    values, reference = values.sum(axis=0), reference.sum(axis=0)
                assert_close(values, reference, key)


@pytest.mark.parametrize(
    ("framework", "training"),
    [
        (name, training)
        for name in FRAMEWORKS
        for training in (*COMPARED, *FURTHER, *MODES_OF[name])
    ],
)
def test_recording_leaves_the_training_bit_identical(
    framework: str, training: str, runs: dict[str, Runs]
) -> None:
    done = runs_on(runs, framework)
    assert done.identical[training]
    with done.trace(training) as trace:
        assert trace.ended == {"status": "completed"}
        assert trace.n_iterations == 3
        assert trace.header.framework == f"keras/{framework}"
        assert np.isfinite(trace.iterations["loss"]).all()
        assert list(trace.iterations["learning_rate"]) == pytest.approx([0.1] * 3)


@pytest.mark.parametrize("mode", MODES_OF["jax"])
def test_steps_that_are_not_compiled_give_the_same_trace(mode: str, runs: dict[str, Runs]) -> None:
    done = runs_on(runs, "jax")
    with done.trace("batch_normalization") as compiled, done.trace(mode) as trace:
        wanted, found = series_of(compiled), series_of(trace)
        assert [key[0] for key in found] == [key[0] for key in wanted]
        for one, other in zip(wanted.values(), found.values(), strict=True):
            pairs = zip(tensors(compiled, one), tensors(trace, other), strict=True)
            for reference, values in pairs:
                assert_close(values, reference, one)
