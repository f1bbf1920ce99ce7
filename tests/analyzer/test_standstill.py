"""Runs that record no gradient: whether any weight changes."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pytest

from deeplocalize.analyzer.causes import Cause
from deeplocalize.analyzer.diagnosis import diagnose
from deeplocalize.analyzer.rules.rule import Severity, Symptom
from deeplocalize.traces.schema import Kind

from .networks import network, seen
from .runs import FakeRun

N = 200


def standing_still(left_out: Collection[Kind]) -> FakeRun:
    header = network()
    header = replace(header, series=tuple(s for s in header.series if s.kind not in left_out))
    run = FakeRun(N, header)
    run.iterations["loss"] = 1.1 + 0.1 * np.random.default_rng(0).standard_normal(N)
    run.put(slice(None), Kind.METRIC, tensor="accuracy", mean=0.34)
    for layer in ("fc1", "fc2"):
        for tensor in ("kernel", "bias"):
            run.put(slice(None), Kind.WEIGHT, layer, tensor, min=-0.3, max=0.3, mean=0.0, rms=0.2)
            if Kind.WEIGHT_UPDATE not in left_out:
                run.zero(slice(None), Kind.WEIGHT_UPDATE, layer, tensor)
    return run


@pytest.mark.parametrize(
    ("left_out", "fix"),
    [
        ({Kind.WEIGHT_GRADIENT}, "self.optimizer.apply"),
        ({Kind.WEIGHT_GRADIENT, Kind.WEIGHT_UPDATE}, "model.trainable = True"),
    ],
)
def test_weights_that_stay_what_they_are_without_a_gradient_are_not_trained(
    left_out: Collection[Kind], fix: str
) -> None:
    diagnosis = diagnose(standing_still(left_out).reader())
    assert seen(diagnosis, Symptom.NOTHING_TRAINED) is Severity.SEVERE
    assert diagnosis.suspects[0].cause is Cause.OPTIMIZER
    assert fix in diagnosis.suspects[0].fix


def test_one_weight_that_changes_or_a_loss_that_falls_will_do() -> None:
    moving, learning = (standing_still({Kind.WEIGHT_GRADIENT}) for _ in range(2))
    moving.put(N - 1, Kind.WEIGHT, "fc2", "kernel", rms=0.21)
    learning.iterations["loss"] -= np.linspace(0, 0.5, N)
    for run in (moving, learning):
        assert seen(diagnose(run.reader()), Symptom.NOTHING_TRAINED) is None


def without_gradients(run: FakeRun) -> FakeRun:
    for layer in ("fc1", "fc2"):
        for tensor in ("kernel", "bias"):
            run.zero(slice(None), Kind.WEIGHT_GRADIENT, layer, tensor)
    return run


def test_a_loss_that_gives_no_weight_a_gradient_is_at_fault() -> None:
    for loss in (1.1, 0.0):
        run = without_gradients(standing_still(()))
        run.iterations["loss"] = np.full(N, loss)
        diagnosis = diagnose(run.reader())
        assert seen(diagnosis, Symptom.NO_GRADIENT) is Severity.SEVERE
        assert diagnosis.suspects[0].cause is Cause.LOSS_FUNCTION


def test_margins_that_are_kept_and_one_gradient_that_arrives_are_left_alone() -> None:
    kept, arriving = (without_gradients(standing_still(())) for _ in range(2))
    kept.header = replace(kept.header, loss="categorical_hinge")
    arriving.put(5, Kind.WEIGHT_GRADIENT, "fc2", "bias", rms=0.1)
    for run in (kept, arriving):
        assert seen(diagnose(run.reader()), Symptom.NO_GRADIENT) is None
