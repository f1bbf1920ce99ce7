"""A network translated from Keras leaves the trace that Keras leaves, tensor by tensor."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deeplocalize.traces import Kind, open_trace

from .trace_cases import N_BATCHES, NETWORKS, TOLERANCE, Comparison, compare

# Neither training has weights of samples or state; Keras's recorder leaves out what TensorFlow
# fuses with an activation.
NOT_IN_BOTH = {
    Kind.SAMPLE_WEIGHT,
    Kind.PREACTIVATION,
    Kind.PREACTIVATION_GRADIENT,
    Kind.STATE,
    Kind.REPLAY_ERROR,
}


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda make: make.__name__)
def traces(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Comparison, Path, Path]:
    make: Callable[[], Any] = request.param
    folder = tmp_path_factory.mktemp("traces")
    names = (f"{make.__name__}-{framework}.h5" for framework in ("keras", "numpy"))
    return compare(make, folder), *(folder / name for name in names)  # type: ignore[return-value]


def test_both_traces_hold_the_same_series(traces: tuple[Comparison, Path, Path]) -> None:
    comparison, *_ = traces
    assert comparison.only_in_keras == comparison.only_in_numpy == ()
    kinds = {difference.kind for difference in comparison.differences}
    assert kinds >= set(Kind) - NOT_IN_BOTH


def test_every_tensor_of_every_batch_is_the_same(traces: tuple[Comparison, Path, Path]) -> None:
    comparison, *_ = traces
    for difference in comparison.differences:
        assert difference.n_tensors == N_BATCHES, difference
        assert difference.largest <= TOLERANCE, difference


def test_series_come_in_the_same_order(traces: tuple[Comparison, Path, Path]) -> None:
    _, of_keras, of_numpy = traces
    with open_trace(of_keras) as wanted, open_trace(of_numpy) as found:
        positions = [
            [
                (series.kind, series.layer, series.tensor, series.shape, series.dtype)
                for series in sorted(trace.header.series, key=lambda s: s.position)
                if (series.layer, series.kind)
                not in {(u.layer, u.kind) for u in wanted.header.unrecorded}
            ]
            for trace in (wanted, found)
        ]
    assert positions[0] == positions[1]


def test_headers_describe_the_layers_alike(traces: tuple[Comparison, Path, Path]) -> None:
    _, of_keras, of_numpy = traces
    with open_trace(of_keras) as wanted, open_trace(of_numpy) as found:
        for layer, other in zip(wanted.header.layers, found.header.layers, strict=True):
            for field in (
                "index",
                "name",
                "class_name",
                "activation",
                "output_shapes",
                "dtype",
                "trainable",
                "n_parameters",
            ):
                assert getattr(layer, field) == getattr(other, field), (layer.name, field)
        assert wanted.header.loss == found.header.loss
        for header in (wanted.header, found.header):
            assert header.optimizer is not None
            assert header.optimizer["class_name"] == "SGD"
            assert header.optimizer["config"]["learning_rate"] == pytest.approx(0.05)
        assert wanted.header.metrics == found.header.metrics
        for summary, other_summary in zip(wanted.header.data, found.header.data, strict=True):
            assert summary.class_counts == other_summary.class_counts
            assert summary.mean == pytest.approx(other_summary.mean)


def test_iterations_agree_in_all_but_their_time(traces: tuple[Comparison, Path, Path]) -> None:
    _, of_keras, of_numpy = traces
    with open_trace(of_keras) as wanted, open_trace(of_numpy) as found:
        for column in ("iteration", "epoch", "batch", "n_samples", "loss", "learning_rate"):
            a, b = wanted.iterations[column], found.iterations[column]
            assert list(b) == pytest.approx(list(a), rel=TOLERANCE), column
