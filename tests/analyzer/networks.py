"""Networks with and without a mistake, runs of them that go well or badly, and what is seen."""

from dataclasses import replace
from typing import Any

import numpy as np

from deeplocalize.analyzer.diagnosis import Diagnosis, diagnose
from deeplocalize.analyzer.localization import FirstFault
from deeplocalize.analyzer.rules.rule import Severity, Symptom
from deeplocalize.traces.header import DataSummary, FeatureSummary, Header, Layer
from deeplocalize.traces.interface import Event
from deeplocalize.traces.schema import Kind

from .runs import HEADER, LABELS, LAYERS, FakeRun

N = 400

BINARY = DataSummary(
    Kind.LABEL, "y", (None, 1), "float32", 640, 0.0, 1.0, 0.5, 0.5, is_integer_valued=True,
    is_one_hot=False, n_distinct=2, class_counts={"0": 320, "1": 320},
)  # fmt: skip

VALUES = DataSummary(
    Kind.LABEL, "y", (None, 3), "float32", 640, -3.0, 3.0, 0.0, 1.0, is_integer_valued=False,
    is_one_hot=False,
)  # fmt: skip

NUMBERS = DataSummary(
    Kind.LABEL, "y", (None,), "int64", 640, 0.0, 2.0, 1.0, 0.8, is_integer_valued=True,
    is_one_hot=False, n_distinct=3, class_counts={"0": 220, "1": 210, "2": 210},
)  # fmt: skip


def network(
    head: str = "softmax",
    units: int = 3,
    loss: object = "categorical_crossentropy",
    target: DataSummary = LABELS,
    hidden: str = "relu",
    extra: tuple[Layer, ...] = (),
) -> Header:
    first = replace(LAYERS[0], activation=hidden, config={"units": 8})
    last = replace(LAYERS[2], activation=head, config={"units": units})
    layers = (first, replace(LAYERS[1], class_name="Dropout"), last, *extra)
    return replace(HEADER, layers=layers, loss=loss, data=(target,))


def inputs(**facts: Any) -> DataSummary:
    """A summary of inputs of four features of the order of 1."""
    usual = {"n": 4, "n_rows": 640, "largest": 3, "median_rms": 1.0, "largest_rms": 1.1}
    features = FeatureSummary(**{**usual, **facts})
    return DataSummary(
        Kind.INPUT, "x", (None, 4), "float32", 640, -3.0, 3.0, 0.0, 1.0, features=features
    )


def with_inputs(**facts: Any) -> Header:
    header = network()
    return replace(header, data=(*header.data, inputs(**facts)))


def with_optimizer(name: str = "Adam", **config: float) -> Header:
    settings = {"learning_rate": 0.001, **config}
    return replace(network(), optimizer={"class_name": name, "config": settings})


def well(header: Header) -> FakeRun:
    """A run that learns."""
    run = FakeRun(N, header)
    return run.put(slice(None), Kind.METRIC, tensor="accuracy", mean=0.97)


def badly(header: Header) -> FakeRun:
    """A run that stays where always answering the same is."""
    run = FakeRun(N, header)
    run.iterations["loss"] = 30.0 + np.random.default_rng(0).standard_normal(N)
    return run.put(slice(None), Kind.METRIC, tensor="accuracy", mean=0.35)


def rows_summing_to(total: float, run: FakeRun) -> FakeRun:
    return run.put(slice(None), Kind.OUTPUT, "fc2", min=0.0, max=0.99, mean=total / 3)


def with_epochs(run: FakeRun, **curves: list[float]) -> FakeRun:
    """The run with epochs whose logs hold the given curves."""
    logs = [dict(zip(curves, values, strict=True)) for values in zip(*curves.values(), strict=True)]
    run.events = [Event("epoch", details={"logs": log}) for log in logs] + run.events
    return run


def large_weights(run: FakeRun) -> FakeRun:
    return run.put(slice(None), Kind.WEIGHT, "fc1", "kernel", rms=30.0)


def fault_of(run: FakeRun) -> FirstFault:
    fault = diagnose(run.reader()).first_fault
    assert fault is not None
    return fault


def seen(diagnosis: Diagnosis, symptom: Symptom) -> Severity | None:
    return max(
        (finding.severity for finding in diagnosis.findings if finding.symptom is symptom),
        default=None,
    )
