"""What is added to the loss, and outweighs it."""

from dataclasses import replace

import numpy as np
import pytest

from deeplocalize.analyzer.causes import Cause
from deeplocalize.analyzer.diagnosis import diagnose
from deeplocalize.analyzer.rules.rule import Severity, Symptom
from deeplocalize.traces.schema import Kind

from .networks import VALUES, N, badly, network, seen, well
from .runs import FakeRun


def shrinking(run: FakeRun, last: float) -> FakeRun:
    """A run whose first layer has a regularizer of its activity, and ends at such a size."""
    first, *others = run.header.layers
    regularized = replace(first, config={**first.config, "activity_regularizer": {"l1": 1.0}})
    run.header = replace(run.header, layers=(regularized, *others))
    run.put(0, Kind.OUTPUT, "fc1", rms=1.0)
    return run.put(slice(N // 2, None), Kind.OUTPUT, "fc1", rms=last)


def test_an_output_that_its_regularizer_crushes_is_the_layers_fault() -> None:
    first = diagnose(shrinking(badly(network()), 0.01).reader()).suspects[0]
    assert first.layer is not None
    assert (first.cause, first.layer.name) == (Cause.EXTRA_LAYER, "fc1")
    assert "activity_regularizer" in first.fix


def test_an_output_may_shrink_a_little_or_in_a_run_that_learns() -> None:
    for run in (shrinking(badly(network()), 0.3), shrinking(well(network()), 0.01)):
        assert seen(diagnose(run.reader()), Symptom.CRUSHED_WEIGHTS) is None


@pytest.mark.parametrize(("added", "severity"), [(100.0, Severity.SEVERE), (1.0, None)])
def test_a_loss_that_a_squared_error_cannot_be_holds_something_else(
    added: float, severity: Severity | None
) -> None:
    run = FakeRun(N, network("linear", 3, "mse", VALUES))
    losses = 1.0 + added * np.exp(-np.arange(N) / 30) + 0.01 * np.random.default_rng(0).random(N)
    run.iterations["loss"] = run.statistics["mean"][:, run.index(Kind.LOSS)] = losses
    diagnosis = diagnose(run.reader())
    assert seen(diagnosis, Symptom.OUTWEIGHED_LOSS) is severity
    if severity is not None:
        assert diagnosis.suspects[0].cause is Cause.LOSS_FUNCTION
