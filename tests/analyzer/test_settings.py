"""Settings with which no optimizer and no normalisation can work."""

from dataclasses import replace

import pytest

from deeplocalize.analyzer.causes import Cause
from deeplocalize.analyzer.diagnosis import diagnose
from deeplocalize.analyzer.rules.rule import Severity, Symptom
from deeplocalize.traces.header import Header
from deeplocalize.traces.schema import Kind

from .networks import (
    badly,
    network,
    seen,
    well,
    with_optimizer,
)
from .runs import FakeRun


@pytest.mark.parametrize(
    ("optimizer", "severity"),
    [
        (with_optimizer("SGD", momentum=0.9999), Severity.SEVERE),
        (with_optimizer("SGD", momentum=0.9), None),
        (with_optimizer("AdamW", weight_decay=400.0), Severity.SEVERE),
        (with_optimizer("AdamW", weight_decay=0.004), None),
        (with_optimizer("RMSprop", rho=-0.1), Severity.SEVERE),
    ],
)
def test_settings_of_an_optimizer_that_cannot_work_are_its_fault(
    optimizer: Header, severity: Severity | None
) -> None:
    diagnosis = diagnose(badly(optimizer).reader())
    assert seen(diagnosis, Symptom.OPTIMIZER_SETTINGS) is severity
    if severity is not None:
        assert diagnosis.suspects[0].cause is Cause.OPTIMIZER


def test_settings_explain_a_run_that_their_first_step_breaks() -> None:
    run = FakeRun(60, with_optimizer(beta_1=1.0)).breaks(0, Kind.WEIGHT_UPDATE, "fc1", "kernel")
    assert diagnose(run.reader()).suspects[0].cause is Cause.OPTIMIZER


def in_halves(header: Header) -> Header:
    """The same with weights of float16."""
    series = tuple(
        replace(s, dtype="float16") if s.kind is Kind.WEIGHT else s for s in header.series
    )
    return replace(header, series=series)


@pytest.mark.parametrize(
    ("header", "severity"),
    [
        (in_halves(with_optimizer(epsilon=1e-7)), Severity.SEVERE),
        (in_halves(with_optimizer(epsilon=1e-4)), None),
        (with_optimizer(epsilon=1e-7), None),
    ],
)
def test_an_epsilon_that_float16_loses_is_the_optimizers_fault(
    header: Header, severity: Severity | None
) -> None:
    diagnosis = diagnose(badly(header).reader())
    assert seen(diagnosis, Symptom.LOST_EPSILON) is severity
    if severity is not None:
        assert diagnosis.suspects[0].cause is Cause.OPTIMIZER
        assert "epsilon=1e-3" in diagnosis.suspects[0].fix


def normalised(momentum: float) -> Header:
    header = network()
    config = {"momentum": momentum}
    middle = replace(header.layers[1], class_name="BatchNormalization", config=config)
    return replace(header, layers=(header.layers[0], middle, header.layers[2]))


@pytest.mark.parametrize(
    ("momentum", "severity"), [(1.0, Severity.SEVERE), (0.9999, Severity.NOTICE), (0.99, None)]
)
def test_moving_statistics_that_never_move_are_a_fault(
    momentum: float, severity: Severity | None
) -> None:
    diagnosis = diagnose(well(normalised(momentum)).reader())
    assert seen(diagnosis, Symptom.STALE_STATISTICS) is severity
