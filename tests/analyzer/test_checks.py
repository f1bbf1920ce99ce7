"""Each check on a run that shows it and on the same run without it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from deeplocalize.analyzer.checks import CHECKS
from deeplocalize.analyzer.diagnosis import Verdict, diagnose
from deeplocalize.analyzer.rules.rule import Severity, Symptom
from deeplocalize.traces.header import Header, Layer
from deeplocalize.traces.schema import Kind

from .networks import (
    BINARY,
    NUMBERS,
    VALUES,
    N,
    badly,
    large_weights,
    network,
    rows_summing_to,
    seen,
    well,
    with_epochs,
    with_inputs,
    with_optimizer,
)
from .runs import LABELS, FakeRun


def late(rate: float) -> Layer:
    return Layer(3, "late", "late", "Dropout", 3, config={"rate": rate}, inbound=("fc2",))


CERTAIN: dict[Symptom, tuple[Header, Header]] = {
    Symptom.CONSTANT_OUTPUT: (
        network(units=1, loss="binary_crossentropy", target=BINARY),
        network("sigmoid", 1, "binary_crossentropy", BINARY),
    ),
    Symptom.OUTPUT_RANGE: (
        network("sigmoid", loss="mse", target=VALUES), network("linear", loss="mse", target=VALUES)
    ),
    Symptom.NOT_EXCLUSIVE: (network("sigmoid"), network("softmax")),
    Symptom.EXCLUSIVE_LABELS: (
        network(target=replace(LABELS, is_one_hot=False, is_integer_valued=True, mean=0.6)),
        network(),
    ),
    Symptom.LABELS_OUT_OF_RANGE: (
        network(
            loss="sparse_categorical_crossentropy",
            target=replace(NUMBERS, is_integer_valued=False, max=0.008),
        ),
        network(loss="sparse_categorical_crossentropy", target=NUMBERS),
    ),
    Symptom.TOO_FEW_OUTPUTS: (
        network(units=2, loss="sparse_categorical_crossentropy", target=NUMBERS),
        network(units=3, loss="sparse_categorical_crossentropy", target=NUMBERS),
    ),
    Symptom.LOSS_DOES_NOT_FIT: (
        network("sigmoid", 1, "categorical_crossentropy", BINARY),
        network("sigmoid", 1, "binary_crossentropy", BINARY),
    ),
    Symptom.NOISE_AFTER_OUTPUT: (
        network(extra=(late(0.5),)),
        network(extra=(late(0.0),)),
    ),
    Symptom.INPUT_CONSTANT: (with_inputs(n_constant=4), with_inputs(n_constant=1)),
    Symptom.OPTIMIZER_SETTINGS: (with_optimizer(beta_1=1.0), with_optimizer(beta_1=0.9)),
}  # fmt: skip


@pytest.mark.parametrize("symptom", CERTAIN)
def test_what_cannot_work_is_a_fault_however_the_run_went(symptom: Symptom) -> None:
    wrong, right = CERTAIN[symptom]
    diagnosis = diagnose(well(wrong).reader())
    assert seen(diagnosis, symptom) is Severity.SEVERE
    assert diagnosis.verdict is Verdict.FAULTY
    assert seen(diagnose(well(right).reader()), symptom) is None


def _large_inputs(run: FakeRun) -> FakeRun:
    return run.put(slice(None), Kind.INPUT, tensor="x", mean=33.0, rms=85.0)


WEAK: dict[Symptom, tuple[Header, Callable[[FakeRun], FakeRun]]] = {
    Symptom.INPUT_NOT_SCALED: (network(), _large_inputs),
    Symptom.WEIGHTS_OUT_OF_SCALE: (network(), large_weights),
    Symptom.NO_NONLINEARITY: (network(hidden="linear"), lambda run: run),
    Symptom.SOFTMAX_INSIDE: (network(hidden="softmax"), lambda run: run),
    Symptom.SQUASHED_TWICE: (
        network(
            loss={"class_name": "CategoricalCrossentropy", "config": {"from_logits": True}}
        ),
        lambda run: run,
    ),
    Symptom.FEATURE_SCALES: (with_inputs(largest_rms=300.0), lambda run: run),
    Symptom.NO_DISTRIBUTION: (network("my_own"), lambda run: rows_summing_to(1.8, run)),
    Symptom.OPTIMIZER_SETTINGS: (with_optimizer(epsilon=100.0), lambda run: run),
    Symptom.LOSS_OSCILLATING: (network(), lambda run: with_epochs(run, loss=[2.0, 0.5] * 6)),
}  # fmt: skip


@pytest.mark.parametrize("symptom", WEAK)
def test_a_weakness_is_a_fault_only_in_a_run_that_went_badly(symptom: Symptom) -> None:
    header, change = WEAK[symptom]
    assert seen(diagnose(change(badly(header)).reader()), symptom) is Severity.SEVERE
    healthy = diagnose(change(well(header)).reader())
    assert seen(healthy, symptom) is Severity.NOTICE
    assert healthy.verdict is Verdict.HEALTHY


def test_a_weakness_in_a_run_of_little_skill_is_no_fault() -> None:
    run = FakeRun(N, network("linear", 1, "mse", replace(VALUES, shape=(None, 1))))
    run.iterations["loss"] = 0.7 + 0.1 * np.random.default_rng(0).standard_normal(N)
    run.put(slice(None), Kind.INPUT, tensor="x", mean=10.0, rms=20.0)
    diagnosis = diagnose(run.reader())
    assert seen(diagnosis, Symptom.INPUT_NOT_SCALED) is Severity.NOTICE
    assert diagnosis.verdict is Verdict.HEALTHY


NOTED: dict[Symptom, tuple[Callable[[], FakeRun], Callable[[], FakeRun]]] = {
    Symptom.CONSTANT_FEATURES: (
        lambda: well(with_inputs(n_constant=1, constant=(2,))), lambda: well(with_inputs()),
    ),
    Symptom.CLASS_IMBALANCE: (
        lambda: well(network(target=replace(LABELS, class_counts={"0": 610, "1": 15, "2": 15}))),
        lambda: well(network()),
    ),
    Symptom.VALIDATION_GAP: (
        lambda: with_epochs(well(network()), loss=[1.0, 0.2, 0.1], val_loss=[0.9, 0.6, 0.8]),
        lambda: with_epochs(well(network()), loss=[1.0, 0.2, 0.1], val_loss=[0.9, 0.3, 0.2]),
    ),
    Symptom.LITTLE_LEARNED: (
        lambda: well(network()).put(slice(None), Kind.METRIC, tensor="accuracy", mean=0.55),
        lambda: well(network()),
    ),
}  # fmt: skip


@pytest.mark.parametrize("symptom", NOTED)
def test_what_is_only_worth_knowing_is_noted_and_never_a_fault(symptom: Symptom) -> None:
    with_it, without_it = NOTED[symptom]
    run = with_it()
    if symptom is Symptom.LITTLE_LEARNED:
        run.iterations["loss"] = np.full(N, 0.8)
    diagnosis = diagnose(run.reader())
    assert diagnosis.verdict is Verdict.HEALTHY
    assert symptom in {note.symptom for note in diagnosis.notes}
    assert seen(diagnose(without_it().reader()), symptom) is None


def test_a_healthy_run_gives_no_finding_of_any_check() -> None:
    assert {f.rule for f in diagnose(well(network()).reader()).findings}.isdisjoint(
        check.name for check in CHECKS
    )


def test_every_check_says_why_and_where_its_threshold_comes_from() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert check.statement.endswith(".") and check.reason.endswith(".")
        assert check.source and check.false_alarms
