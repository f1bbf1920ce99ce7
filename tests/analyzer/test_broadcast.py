"""Squared errors of targets (n,) and outputs (n, 1)."""

from dataclasses import replace

import numpy as np
import pytest

from deeplocalize.analyzer.causes import Cause
from deeplocalize.analyzer.diagnosis import diagnose
from deeplocalize.analyzer.rules.rule import Severity, Symptom
from deeplocalize.traces.schema import Kind

from .networks import VALUES, N, network, seen
from .runs import BATCH, FakeRun


def compared(correlation: float) -> FakeRun:
    """A run whose loss is that of outputs which correlate with targets by so much."""
    header = network("linear", 1, "mse", replace(VALUES, shape=(None,)))
    shapes = {Kind.LABEL: (None,), Kind.OUTPUT: (None, 1)}
    series = tuple(
        replace(s, shape=shapes[s.kind]) if s.kind is Kind.LABEL or
        (s.kind is Kind.OUTPUT and s.layer == 2) else s
        for s in header.series
    )  # fmt: skip
    run = FakeRun(N, replace(header, series=series))
    random = np.random.default_rng(0)
    y, p = random.normal(1.0, 2.0, (N, BATCH)), random.normal(0.3, 0.5, (N, BATCH))
    for values, i in ((y, run.index(Kind.LABEL)), (p, run.index(Kind.OUTPUT, "fc2"))):
        run.statistics["mean"][:, i] = values.mean(1)
        run.statistics["rms"][:, i] = np.sqrt((values**2).mean(1))
    pairs = ((y[:, :, None] - p[:, None, :]) ** 2).mean((1, 2))
    losses = pairs - 2 * correlation * y.std(1) * p.std(1)
    run.statistics["mean"][:, run.index(Kind.LOSS)] = run.iterations["loss"] = losses
    return run


@pytest.mark.parametrize(
    ("correlation", "severity"), [(0.0, Severity.SEVERE), (0.05, None), (-0.5, None)]
)
def test_a_loss_that_is_the_mean_over_all_pairs_is_found_out(
    correlation: float, severity: Severity | None
) -> None:
    diagnosis = diagnose(compared(correlation).reader())
    assert seen(diagnosis, Symptom.BROADCAST_LOSS) is severity
    if severity is not None:
        first = diagnosis.suspects[0]
        assert first.cause is Cause.LOSS_FUNCTION
        assert "targets of shape (n,) and outputs of shape (n, 1)" in first.evidence[0]


def test_targets_of_the_shape_of_the_outputs_do_not_broadcast() -> None:
    run = compared(0.0)
    series = tuple(
        replace(s, shape=(None, 1)) if s.kind is Kind.LABEL else s for s in run.header.series
    )
    run.header = replace(run.header, series=series)
    assert seen(diagnose(run.reader()), Symptom.BROADCAST_LOSS) is None
