"""Classes that are shown one after the other."""

import numpy as np
import pytest

from deeplocalize.analyzer.causes import Cause
from deeplocalize.analyzer.diagnosis import diagnose
from deeplocalize.analyzer.rules.rule import Severity, Symptom
from deeplocalize.traces.schema import Kind

from .networks import NUMBERS, N, network, seen, well
from .runs import FakeRun


def shown(length: int, jump: float, is_single: bool = True) -> FakeRun:
    """A run that sees each class for so many batches, with a loss of its own in the first."""
    run = well(network(loss="sparse_categorical_crossentropy", target=NUMBERS))
    label, loss = run.index(Kind.LABEL), run.index(Kind.LOSS)
    order = np.arange(N) // length % 3
    run.statistics["min"][:, label] = order if is_single else 0
    run.statistics["max"][:, label] = order if is_single else 2
    run.statistics["mean"][:, loss] = np.where(np.arange(N) % length == 0, jump, 0.1)
    return run


def test_classes_that_are_learned_and_forgotten_in_turn_are_the_datas_fault() -> None:
    diagnosis = diagnose(shown(6, 3.0).reader())
    assert seen(diagnosis, Symptom.SORTED_LABELS) is Severity.SEVERE
    assert diagnosis.suspects[0].cause is Cause.DATA_OTHER
    assert "shuffle" in diagnosis.suspects[0].fix


@pytest.mark.parametrize(
    "run", [shown(6, 0.5), shown(1, 3.0), shown(6, 3.0, is_single=False), shown(400, 3.0)]
)
def test_other_orders_or_none_are_left_alone(run: FakeRun) -> None:
    assert seen(diagnose(run.reader()), Symptom.SORTED_LABELS) is None
