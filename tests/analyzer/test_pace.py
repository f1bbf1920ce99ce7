"""Runs that did not move, or not for long enough."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from deeplocalize.analyzer.causes import Cause
from deeplocalize.analyzer.conclusion import conclude
from deeplocalize.analyzer.diagnosis import Verdict, diagnose
from deeplocalize.analyzer.rules.rule import Severity, Symptom
from deeplocalize.traces.header import Header
from deeplocalize.traces.interface import Event
from deeplocalize.traces.schema import Kind

from .networks import VALUES, N, badly, network, seen, well
from .runs import FakeRun


def frozen(header: Header, is_trainable: bool = False) -> Header:
    """A network whose layers are frozen, and of which no update is recorded."""
    return replace(
        header,
        layers=tuple(replace(layer, trainable=is_trainable) for layer in header.layers),
        series=tuple(s for s in header.series if s.kind is not Kind.WEIGHT_UPDATE),
    )


def level(run: FakeRun, loss: float) -> FakeRun:
    n = len(run.iterations["loss"])
    run.iterations["loss"] = loss + 0.1 * np.random.default_rng(0).standard_normal(n)
    return run


def test_a_run_in_which_everything_is_frozen_trains_nothing() -> None:
    diagnosis = diagnose(level(FakeRun(200, frozen(network())), 1.1).reader())
    assert seen(diagnosis, Symptom.NOTHING_TRAINED) is Severity.SEVERE
    assert diagnosis.suspects[0].cause is Cause.OPTIMIZER


def test_a_run_is_trained_that_records_no_updates_or_whose_loss_falls() -> None:
    unrecorded = level(FakeRun(200, frozen(network(), is_trainable=True)), 1.1)
    of_its_own = FakeRun(200, frozen(network()))
    for run in (unrecorded, of_its_own):
        assert seen(diagnose(run.reader()), Symptom.NOTHING_TRAINED) is None


def test_a_head_on_frozen_layers_is_trained() -> None:
    header = network()
    first = replace(header.layers[0], trainable=False)
    run = level(FakeRun(200, replace(header, layers=(first, *header.layers[1:]))), 1.1)
    assert seen(diagnose(run.reader()), Symptom.NOTHING_TRAINED) is None


def improving(n: int, n_epochs: int, header: Header | None = None) -> FakeRun:
    """A run that comes a fifth of the way, and goes on improving to its end."""
    run = FakeRun(n, header or network())
    run.iterations["loss"] = np.linspace(1.2, 0.85, n)
    accuracy = run.index(Kind.METRIC, tensor="accuracy")
    run.statistics["mean"][:, accuracy] = np.linspace(0.3, 0.45, n)
    run.statistics["rms"][:, run.index(Kind.WEIGHT_UPDATE, "fc1", "kernel")] = 1e-3
    logs = [{"loss": 1.2 - 0.01 * i} for i in range(n_epochs)]
    run.events = [*(Event("epoch", details={"logs": log}) for log in logs), *run.events]
    return run


def test_a_short_run_of_several_epochs_that_still_improved_was_trained_too_short() -> None:
    diagnosis = diagnose(improving(200, n_epochs=10).reader())
    assert diagnosis.suspects[0].cause is Cause.EPOCHS_OR_BATCH_SIZE
    said = conclude(diagnosis)
    assert "trained too short" in said and "200 steps" in said
    assert "first at iteration" not in said


@pytest.mark.parametrize(("n", "n_epochs"), [(200, 1), (200, 2), (60, 10)])
def test_a_trial_that_still_improved_gets_no_verdict_but_what_it_lacks(
    n: int, n_epochs: int
) -> None:
    diagnosis = diagnose(improving(n, n_epochs).reader())
    assert diagnosis.verdict is Verdict.UNKNOWN
    assert "a longer run" in conclude(diagnosis) and f"{n} steps" in conclude(diagnosis)


@pytest.mark.parametrize("status", ["interrupted", "exception", None])
def test_a_run_that_was_cut_short_is_not_blamed_for_being_short(status: str | None) -> None:
    run = improving(200, n_epochs=10)
    run.events = [event for event in run.events if event.name != "end"]
    if status is not None:
        run.events.append(Event("end", details={"status": status}))
    diagnosis = diagnose(run.reader())
    assert diagnosis.verdict is Verdict.UNKNOWN
    assert seen(diagnosis, Symptom.FEW_STEPS) is Severity.NOTICE


def test_more_steps_are_not_what_a_layer_needs_that_is_cut_off() -> None:
    run = improving(200, n_epochs=10)
    run.zero(slice(None), Kind.WEIGHT_UPDATE, "fc1", "kernel")
    run.zero(slice(None), Kind.OUTPUT_GRADIENT, "fc1")
    run.header = replace(
        run.header,
        layers=tuple(
            replace(layer, class_name="Lambda") if layer.name == "mid" else layer
            for layer in run.header.layers
        ),
    )
    diagnosis = diagnose(run.reader())
    assert seen(diagnosis, Symptom.FEW_STEPS) is None
    first = diagnosis.suspects[0]
    assert first.layer is not None
    assert (first.cause, first.layer.name) == (Cause.EXTRA_LAYER, "mid")


def _large_steps(run: FakeRun) -> FakeRun:
    return run.put(slice(None), Kind.WEIGHT_UPDATE, "fc1", "kernel", rms=1.0)


MAX_NORM = {"class_name": "MaxNorm", "config": {"max_value": 0.001, "axis": 0}}


def _constrained(header: Header, *layers: str) -> Header:
    return replace(
        header,
        layers=tuple(
            replace(layer, config={**layer.config, "kernel_constraint": MAX_NORM})
            if layer.name in layers
            else layer
            for layer in header.layers
        ),
    )


def test_what_a_constraint_does_to_weights_is_not_taken_for_steps() -> None:
    header = _constrained(network(), "fc1")
    diagnosis = diagnose(_large_steps(badly(header)).reader())
    assert seen(diagnosis, Symptom.LARGE_STEPS) is None
    assert seen(diagnosis, Symptom.LARGE_UPDATE) is None
    held = badly(header).zero(slice(200, None), Kind.WEIGHT_UPDATE, "fc1", "kernel")
    assert seen(diagnose(held.reader()), Symptom.UNCHANGED_WEIGHT) is None


def test_a_learning_rate_that_is_too_large_is_seen_where_all_weights_are_constrained() -> None:
    fast = {"class_name": "Adam", "config": {"learning_rate": 1.0}}
    header = replace(_constrained(network(), "fc1", "fc2"), optimizer=fast)
    diagnosis = diagnose(_large_steps(badly(header)).reader())
    assert seen(diagnosis, Symptom.LARGE_STEPS) is Severity.SEVERE


def test_a_constraint_that_crushes_weights_is_suspected() -> None:
    run = badly(_constrained(network(), "fc1"))
    run.put(slice(1, None), Kind.WEIGHT, "fc1", "kernel", rms=1e-4)
    first = diagnose(_large_steps(run).reader()).suspects[0]
    assert first.layer is not None
    assert (first.cause, first.layer.name) == (Cause.EXTRA_LAYER, "fc1")
    assert "MaxNorm(max_value=0.001, axis=0)" in first.evidence[0]
    assert "constraint" in first.fix


def test_large_steps_are_looked_for_only_in_a_run_that_went_badly() -> None:
    assert seen(diagnose(_large_steps(badly(network())).reader()), Symptom.LARGE_STEPS)
    assert not seen(diagnose(_large_steps(well(network())).reader()), Symptom.LARGE_STEPS)


def _steep(run: FakeRun, losses: NDArray[np.float64]) -> FakeRun:
    """The run, whose steps replace weights, with other losses."""
    run.iterations["loss"] = losses
    run.statistics["mean"][:, run.index(Kind.LOSS)] = losses
    return _large_steps(run)


def _far(name: str) -> Header:
    target = replace(VALUES, shape=(None, 1), min=2e4, max=9e5, mean=1e5, std=7e4)
    return network("linear", 1, name, target)


FALLING = 120.0 / (1 + np.arange(N) / 50)
NOISE = np.random.default_rng(0).standard_normal(N)


@pytest.mark.parametrize(
    ("losses", "is_suspected"),
    [
        (FALLING + NOISE, False),
        (np.where(np.arange(N) == 5, 1000.0, FALLING), True),
        (np.where(np.arange(N) == N // 2, 1000.0, FALLING), True),
        (np.maximum(FALLING, 50.0) + 10 * NOISE, True),
    ],
    ids=["falls", "rose", "rose later", "stopped"],
)
def test_steps_are_too_large_only_where_the_loss_rose_or_stopped_falling(
    losses: NDArray[np.float64], is_suspected: bool
) -> None:
    diagnosis = diagnose(_steep(FakeRun(N, _far("msle")), losses).reader())
    assert (seen(diagnosis, Symptom.LARGE_STEPS) is not None) is is_suspected
    assert (Cause.LEARNING_RATE in {s.cause for s in diagnosis.suspects}) is is_suspected
