"""Each check on a run that shows it and on the same run without it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from deeplocalize.analyzer.checks import CHECKS
from deeplocalize.analyzer.diagnosis import Diagnosis, Verdict, diagnose
from deeplocalize.analyzer.rules.rule import Severity, Symptom
from deeplocalize.traces.header import DataSummary, Header, Layer
from deeplocalize.traces.schema import Kind

from .runs import HEADER, LABELS, LAYERS, FakeRun

N = 400

BINARY = DataSummary(
    Kind.LABEL, "y", (None, 1), "float32", 640, 0.0, 1.0, 0.5, 0.5, is_integer_valued=True,
    is_one_hot=False, n_distinct=2, class_counts={"0": 320, "1": 320},
)  # fmt: skip
VALUES = DataSummary(
    Kind.LABEL, "y", (None, 3), "float32", 640, -3.0, 3.0, 0.0, 1.0, is_integer_valued=False,
    is_one_hot=False,
)  # fmt: skip
NUMBERS = DataSummary(
    Kind.LABEL, "y", (None,), "int64", 640, 0.0, 2.0, 1.0, 0.8, is_integer_valued=True,
    is_one_hot=False, n_distinct=3, class_counts={"0": 220, "1": 210, "2": 210},
)  # fmt: skip


def network(
    head: str = "softmax",
    units: int = 3,
    loss: object = "categorical_crossentropy",
    target: DataSummary = LABELS,
    hidden: str = "relu",
    extra: tuple[Layer, ...] = (),
) -> Header:
    first = replace(LAYERS[0], activation=hidden, config={"units": 8})
    last = replace(LAYERS[2], activation=head, config={"units": units})
    layers = (first, replace(LAYERS[1], class_name="Dropout"), last, *extra)
    return replace(HEADER, layers=layers, loss=loss, data=(target,))


def late(rate: float) -> Layer:
    return Layer(3, "late", "late", "Dropout", 3, config={"rate": rate}, inbound=("fc2",))


def well(header: Header) -> FakeRun:
    """A run that learns."""
    run = FakeRun(N, header)
    return run.put(slice(None), Kind.METRIC, tensor="accuracy", mean=0.97)


def badly(header: Header) -> FakeRun:
    """A run that stays where always answering the same is."""
    run = FakeRun(N, header)
    run.iterations["loss"] = 30.0 + np.random.default_rng(0).standard_normal(N)
    return run.put(slice(None), Kind.METRIC, tensor="accuracy", mean=0.35)


def seen(diagnosis: Diagnosis, symptom: Symptom) -> Severity | None:
    return max(
        (finding.severity for finding in diagnosis.findings if finding.symptom is symptom),
        default=None,
    )


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


def _large_weights(run: FakeRun) -> FakeRun:
    return run.put(slice(None), Kind.WEIGHT, "fc1", "kernel", rms=30.0)


def _large_steps(run: FakeRun) -> FakeRun:
    return run.put(slice(None), Kind.WEIGHT_UPDATE, "fc1", "kernel", rms=1.0)


WEAK: dict[Symptom, tuple[Header, Callable[[FakeRun], FakeRun]]] = {
    Symptom.INPUT_NOT_SCALED: (network(), _large_inputs),
    Symptom.WEIGHTS_OUT_OF_SCALE: (network(), _large_weights),
    Symptom.NO_NONLINEARITY: (network(hidden="linear"), lambda run: run),
    Symptom.SOFTMAX_INSIDE: (network(hidden="softmax"), lambda run: run),
    Symptom.SQUASHED_TWICE: (
        network(
            loss={"class_name": "CategoricalCrossentropy", "config": {"from_logits": True}}
        ),
        lambda run: run,
    ),
}  # fmt: skip


@pytest.mark.parametrize("symptom", WEAK)
def test_a_weakness_is_a_fault_only_in_a_run_that_went_badly(symptom: Symptom) -> None:
    header, change = WEAK[symptom]
    assert seen(diagnose(change(badly(header)).reader()), symptom) is Severity.SEVERE
    healthy = diagnose(change(well(header)).reader())
    assert seen(healthy, symptom) is Severity.NOTICE
    assert healthy.verdict is Verdict.HEALTHY


def test_large_steps_are_looked_for_only_in_a_run_that_went_badly() -> None:
    assert seen(diagnose(_large_steps(badly(network())).reader()), Symptom.LARGE_STEPS)
    assert not seen(diagnose(_large_steps(well(network())).reader()), Symptom.LARGE_STEPS)


def test_outputs_beyond_1_are_no_probabilities_unless_the_loss_takes_logits() -> None:
    for config, severity in (({}, Severity.SEVERE), ({"from_logits": True}, None)):
        loss = {"class_name": "CategoricalCrossentropy", "config": config}
        run = well(network("linear", loss=loss))
        run.put(slice(None), Kind.OUTPUT, "fc2", min=-2.0, max=5.0)
        assert seen(diagnose(run.reader()), Symptom.NOT_PROBABILITIES) is severity


def test_a_healthy_run_gives_no_finding_of_any_check() -> None:
    assert {f.rule for f in diagnose(well(network()).reader()).findings}.isdisjoint(
        check.name for check in CHECKS
    )


def test_every_check_says_why_and_where_its_threshold_comes_from() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert check.statement.endswith(".") and check.reason.endswith(".")
        assert check.source and check.false_alarms
