"""Gradients that are clipped until nothing is left, and those that are not."""

import pytest

from deeplocalize.analyzer.causes import Cause
from deeplocalize.analyzer.diagnosis import diagnose
from deeplocalize.analyzer.rules.rule import Severity, Symptom
from deeplocalize.traces.header import Header
from deeplocalize.traces.schema import Kind

from .networks import badly, seen, with_optimizer


@pytest.mark.parametrize(
    ("optimizer", "severity"),
    [
        (with_optimizer("SGD", clipnorm=1e-6), Severity.SEVERE),
        (with_optimizer("SGD", clipvalue=1e-7), Severity.SEVERE),
        (with_optimizer("SGD", global_clipnorm=1e-6), Severity.SEVERE),
        (with_optimizer("Adam", clipnorm=1e-7, epsilon=1e-7), Severity.SEVERE),
        (with_optimizer("Adam", clipnorm=1e-4, epsilon=1e-7), None),
        (with_optimizer("SGD", clipnorm=1.0), None),
    ],
)
def test_a_limit_far_below_the_gradients_is_the_optimizers_fault(
    optimizer: Header, severity: Severity | None
) -> None:
    run = badly(optimizer)
    for layer in ("fc1", "fc2"):
        run.put(slice(None), Kind.WEIGHT_UPDATE, layer, "kernel", rms=1e-9)
    diagnosis = diagnose(run.reader())
    assert seen(diagnosis, Symptom.OPTIMIZER_SETTINGS) is severity
    assert (diagnosis.suspects[0].cause is Cause.OPTIMIZER) is (severity is not None)


def test_clipped_steps_that_go_far_are_none_of_its_fault() -> None:
    run = badly(with_optimizer("SGD", clipnorm=1e-6))
    assert seen(diagnose(run.reader()), Symptom.OPTIMIZER_SETTINGS) is None
