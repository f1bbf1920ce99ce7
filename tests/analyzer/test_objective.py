"""Whether a falling loss is told from learning, for losses of the user's own."""

from dataclasses import replace

import numpy as np
import pytest

from deeplocalize.analyzer.causes import Cause
from deeplocalize.analyzer.diagnosis import diagnose
from deeplocalize.analyzer.rules.rule import Severity, Symptom
from deeplocalize.traces.header import Header
from deeplocalize.traces.schema import Kind

from .networks import VALUES, network, seen
from .runs import HEADER, FakeRun

N = 200


def falling(first: float, last: float, header: Header, growth: float = 1.0) -> FakeRun:
    """A run whose loss falls faster and faster from one value to another as its outputs grow."""
    run = FakeRun(N, header)
    run.iterations["loss"] = first - np.geomspace(1e-2, first - last, N)
    sizes = np.geomspace(1.0, growth, N)
    run.statistics["rms"][:, run.index(Kind.OUTPUT, "fc2")] = sizes
    return run


def misled(run: FakeRun) -> bool:
    diagnosis = diagnose(run.reader())
    is_seen = seen(diagnosis, Symptom.MISLEADING_LOSS) is Severity.SEVERE
    assert not is_seen or diagnosis.suspects[0].cause is Cause.LOSS_FUNCTION
    return is_seen


@pytest.mark.parametrize(
    ("loss", "last", "growth", "is_misled"),
    [
        ("my_loss", -500.0, 50.0, True),
        ("my_loss", -500.0, 2.0, False),
        ("my_likelihood", -5.0, 50.0, False),
        ("poisson", -500.0, 50.0, False),
    ],
)
def test_a_loss_without_limit_makes_outputs_grow(
    loss: str, last: float, growth: float, is_misled: bool
) -> None:
    assert misled(falling(1.0, last, network("tanh", 3, loss), growth)) is is_misled


@pytest.mark.parametrize(("growth", "is_misled"), [(40.0, True), (4.0, False)])
def test_outputs_that_leave_their_targets_under_a_negative_loss_are_a_fault(
    growth: float, is_misled: bool
) -> None:
    header = network("linear", 3, "my_loss", VALUES)
    assert misled(falling(-1.0, -9.0, header, growth)) is is_misled


def test_outputs_of_another_kind_than_targets_may_leave_them() -> None:
    header = network("linear", 3, "my_loss", replace(VALUES, shape=(None, 1)))
    assert not misled(falling(-1.0, -9.0, header, 40.0))
    assert not misled(falling(9.0, 1.0, network("linear", 3, "my_loss", VALUES), 40.0))


@pytest.mark.parametrize(
    ("accuracy", "last", "is_misled"), [(0.34, -9.0, True), (0.9, -9.0, False), (0.34, 0.5, False)]
)
def test_a_loss_below_0_that_teaches_nothing_is_a_fault(
    accuracy: float, last: float, is_misled: bool
) -> None:
    run = falling(1.0, last, replace(HEADER, loss="my_loss"))
    run.put(slice(None), Kind.METRIC, tensor="accuracy", mean=accuracy)
    assert misled(run) is is_misled


@pytest.mark.parametrize(
    ("loss", "is_impossible"), [("mse", True), ("poisson", False), ("cosine_similarity", False)]
)
def test_a_negative_loss_is_a_fault_where_it_cannot_be(loss: str, is_impossible: bool) -> None:
    run = FakeRun(N, network("linear", loss=loss, target=VALUES))
    run.iterations["loss"] = np.linspace(1.0, -0.8, N)
    diagnosis = diagnose(run.reader())
    assert (seen(diagnosis, Symptom.LOSS_NEGATIVE) is not None) is is_impossible
    if is_impossible:
        assert diagnosis.suspects[0].cause is Cause.LABEL_ENCODING
