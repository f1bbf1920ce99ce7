"""Outputs that the loss takes for something else."""

import math
from dataclasses import replace

import pytest

from deeplocalize.analyzer.causes import Cause
from deeplocalize.analyzer.diagnosis import diagnose
from deeplocalize.analyzer.rules.rule import Severity, Symptom
from deeplocalize.traces.header import Header
from deeplocalize.traces.schema import Kind

from .networks import VALUES, badly, network, seen, well
from .runs import BATCH, FakeRun


def counting(activation: str) -> Header:
    return network(activation, 1, "poisson", replace(VALUES, shape=(None, 1), min=0.0))


def test_a_poisson_loss_that_breaks_on_an_output_below_0_is_the_outputs_fault() -> None:
    broken = FakeRun(60, counting("linear")).breaks(0, Kind.LOSS)
    first = diagnose(broken.reader()).suspects[0]
    assert first.layer is not None
    assert (first.cause, first.layer.name) == (Cause.ACTIVATION_LOSS_MISMATCH, "fc2")


@pytest.mark.parametrize("activation", ["exponential", "softplus", "relu", "my_own"])
def test_rates_that_cannot_be_negative_or_may_not_are_left_alone(activation: str) -> None:
    assert seen(diagnose(badly(counting(activation)).reader()), Symptom.NEGATIVE_RATES) is None


LEAST, MOST = 1 / (math.e + 2), math.e / (math.e + 2)


def passing_back(low: float, high: float, loss: str = "my_loss") -> FakeRun:
    """A classifier of three classes with such a gradient by its output, times the batch."""
    run = well(network("softmax", 3, loss))
    return run.put(
        slice(None), Kind.OUTPUT_GRADIENT, "fc2",
        min=low / BATCH, max=high / BATCH, mean=0.0, n_zero=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "severity"),
    [
        (-0.7, 0.4, Severity.SEVERE),
        (LEAST - 1, MOST, Severity.SEVERE),
        (-0.9, 0.4, None),
        (-0.7, 0.1, None),
        (-0.3, 0.4, None),
    ],
)
def test_the_gradient_of_a_second_softmax_is_known_by_its_range(
    low: float, high: float, severity: Severity | None
) -> None:
    diagnosis = diagnose(passing_back(low, high).reader())
    assert seen(diagnosis, Symptom.SQUASHED_TWICE) is severity


def test_a_built_in_loss_is_known_by_its_settings() -> None:
    run = passing_back(-0.7, 0.4, "categorical_crossentropy")
    assert seen(diagnose(run.reader()), Symptom.SQUASHED_TWICE) is None
