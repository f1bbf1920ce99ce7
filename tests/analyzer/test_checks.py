"""Each check on a run that shows it and on the same run without it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deeplocalize.analyzer.causes import Cause
from deeplocalize.analyzer.checks import CHECKS
from deeplocalize.analyzer.diagnosis import Diagnosis, Verdict, diagnose
from deeplocalize.analyzer.rules.rule import Severity, Symptom
from deeplocalize.traces.header import DataSummary, FeatureSummary, Header, Layer
from deeplocalize.traces.interface import Event
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


def inputs(**facts: Any) -> DataSummary:
    """A summary of inputs of four features of the order of 1."""
    usual = {"n": 4, "n_rows": 640, "largest": 3, "median_rms": 1.0, "largest_rms": 1.1}
    features = FeatureSummary(**{**usual, **facts})
    return DataSummary(
        Kind.INPUT, "x", (None, 4), "float32", 640, -3.0, 3.0, 0.0, 1.0, features=features
    )


def with_inputs(**facts: Any) -> Header:
    header = network()
    return replace(header, data=(*header.data, inputs(**facts)))


def with_optimizer(name: str = "Adam", **config: float) -> Header:
    settings = {"learning_rate": 0.001, **config}
    return replace(network(), optimizer={"class_name": name, "config": settings})


def in_halves(header: Header) -> Header:
    """The same with weights of float16."""
    series = tuple(
        replace(s, dtype="float16") if s.kind is Kind.WEIGHT else s for s in header.series
    )
    return replace(header, series=series)


def normalised(momentum: float) -> Header:
    header = network()
    config = {"momentum": momentum}
    middle = replace(header.layers[1], class_name="BatchNormalization", config=config)
    return replace(header, layers=(header.layers[0], middle, header.layers[2]))


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


def _large_weights(run: FakeRun) -> FakeRun:
    return run.put(slice(None), Kind.WEIGHT, "fc1", "kernel", rms=30.0)


def _equal_weights(run: FakeRun) -> FakeRun:
    return run.put(slice(None), Kind.WEIGHT, "fc1", "kernel", min=0.5, max=0.5)


def _large_steps(run: FakeRun) -> FakeRun:
    return run.put(slice(None), Kind.WEIGHT_UPDATE, "fc1", "kernel", rms=1.0)


def _rows_summing_to(total: float, run: FakeRun) -> FakeRun:
    return run.put(slice(None), Kind.OUTPUT, "fc2", min=0.0, max=0.99, mean=total / 3)


def _with_epochs(run: FakeRun, **curves: list[float]) -> FakeRun:
    """The run with epochs whose logs hold the given curves."""
    logs = [dict(zip(curves, values, strict=True)) for values in zip(*curves.values(), strict=True)]
    run.events = [Event("epoch", details={"logs": log}) for log in logs] + run.events
    return run


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
    Symptom.FEATURE_SCALES: (with_inputs(largest_rms=300.0), lambda run: run),
    Symptom.NO_DISTRIBUTION: (network("my_own"), lambda run: _rows_summing_to(1.8, run)),
    Symptom.OPTIMIZER_SETTINGS: (with_optimizer(epsilon=100.0), lambda run: run),
    Symptom.LOSS_OSCILLATING: (network(), lambda run: _with_epochs(run, loss=[2.0, 0.5] * 6)),
}  # fmt: skip


@pytest.mark.parametrize("symptom", WEAK)
def test_a_weakness_is_a_fault_only_in_a_run_that_went_badly(symptom: Symptom) -> None:
    header, change = WEAK[symptom]
    assert seen(diagnose(change(badly(header)).reader()), symptom) is Severity.SEVERE
    healthy = diagnose(change(well(header)).reader())
    assert seen(healthy, symptom) is Severity.NOTICE
    assert healthy.verdict is Verdict.HEALTHY


@pytest.mark.parametrize("earlier", [{"continues": "run.h5"}, {"n_updates_before": 100}])
def test_weights_that_were_trained_before_are_not_judged_as_initial_ones(
    earlier: dict[str, Any],
) -> None:
    fresh, resumed = network(), replace(network(), **earlier)
    for change in (_large_weights, _equal_weights):
        symptoms = {Symptom.WEIGHTS_OUT_OF_SCALE, Symptom.EQUAL_WEIGHTS}
        assert any(seen(diagnose(change(badly(fresh)).reader()), s) for s in symptoms)
        assert not any(seen(diagnose(change(badly(resumed)).reader()), s) for s in symptoms)


def test_large_steps_are_looked_for_only_in_a_run_that_went_badly() -> None:
    assert seen(diagnose(_large_steps(badly(network())).reader()), Symptom.LARGE_STEPS)
    assert not seen(diagnose(_large_steps(well(network())).reader()), Symptom.LARGE_STEPS)


NOTED: dict[Symptom, tuple[Callable[[], FakeRun], Callable[[], FakeRun]]] = {
    Symptom.CONSTANT_FEATURES: (
        lambda: well(with_inputs(n_constant=1, constant=(2,))), lambda: well(with_inputs()),
    ),
    Symptom.CLASS_IMBALANCE: (
        lambda: well(network(target=replace(LABELS, class_counts={"0": 610, "1": 15, "2": 15}))),
        lambda: well(network()),
    ),
    Symptom.VALIDATION_GAP: (
        lambda: _with_epochs(well(network()), loss=[1.0, 0.2, 0.1], val_loss=[0.9, 0.6, 0.8]),
        lambda: _with_epochs(well(network()), loss=[1.0, 0.2, 0.1], val_loss=[0.9, 0.3, 0.2]),
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


def test_a_softmax_along_another_axis_is_a_fault_however_the_run_went() -> None:
    run = _rows_summing_to(0.1, well(network()))
    assert seen(diagnose(run.reader()), Symptom.NO_DISTRIBUTION) is Severity.SEVERE
    right = _rows_summing_to(1.0, badly(network()))
    assert seen(diagnose(right.reader()), Symptom.NO_DISTRIBUTION) is None


def test_rows_of_a_layer_of_the_users_own_may_sum_to_1() -> None:
    right = _rows_summing_to(1.0, badly(network("my_own")))
    assert seen(diagnose(right.reader()), Symptom.NO_DISTRIBUTION) is None


def test_features_behind_a_layer_that_normalises_may_have_any_scale() -> None:
    header = with_inputs(largest_rms=1e6)
    first = replace(LAYERS[0], class_name="BatchNormalization", activation=None)
    last = replace(header.layers[2], inbound=("mid",))
    header = replace(header, layers=(first, header.layers[1], last))
    assert seen(diagnose(badly(header).reader()), Symptom.FEATURE_SCALES) is None


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


@pytest.mark.parametrize(
    ("optimizer", "severity"),
    [
        (with_optimizer("SGD", momentum=0.9999), Severity.SEVERE),
        (with_optimizer("SGD", momentum=0.9), None),
        (with_optimizer("AdamW", weight_decay=400.0), Severity.SEVERE),
        (with_optimizer("AdamW", weight_decay=0.004), None),
        (with_optimizer("RMSprop", rho=-0.1), Severity.SEVERE),
    ],
)
def test_settings_of_an_optimizer_that_cannot_work_are_its_fault(
    optimizer: Header, severity: Severity | None
) -> None:
    diagnosis = diagnose(badly(optimizer).reader())
    assert seen(diagnosis, Symptom.OPTIMIZER_SETTINGS) is severity
    if severity is not None:
        assert diagnosis.suspects[0].cause is Cause.OPTIMIZER


@pytest.mark.parametrize(
    ("momentum", "severity"), [(1.0, Severity.SEVERE), (0.9999, Severity.NOTICE), (0.99, None)]
)
def test_moving_statistics_that_never_move_are_a_fault(
    momentum: float, severity: Severity | None
) -> None:
    diagnosis = diagnose(well(normalised(momentum)).reader())
    assert seen(diagnosis, Symptom.STALE_STATISTICS) is severity


def test_values_that_explode_before_the_first_step_are_not_the_steps_fault() -> None:
    run = badly(network(hidden="linear"))
    run.put(slice(None), Kind.OUTPUT, "fc1", rms=1e7)
    run.put(slice(0, 5), Kind.WEIGHT_UPDATE, "fc1", "kernel", rms=1e6)
    run.put(slice(None), Kind.INPUT, tensor="x", mean=0.0, rms=1.0)
    first = diagnose(run.reader()).suspects[0]
    assert first.layer is not None
    assert (first.cause, first.layer.name) == (Cause.WEIGHT_INITIALIZATION, "fc1")
    later = badly(network(hidden="linear")).put(slice(5, None), Kind.OUTPUT, "fc1", rms=1e7)
    assert seen(diagnose(later.reader()), Symptom.EXPLODING_VALUES) is None


@pytest.mark.parametrize(
    ("loss", "severity", "is_median"),
    [
        ("mae", Severity.SEVERE, True),
        ("msle", Severity.SEVERE, False),
        ("mse", Severity.NOTICE, False),
    ],
)
def test_an_unusual_distance_to_classes_is_a_fault_in_a_run_of_little_skill(
    loss: str, severity: Severity, is_median: bool
) -> None:
    run = FakeRun(N, network("relu", loss=loss))
    run.iterations["loss"] = np.linspace(0.4, 0.2, N)
    run.put(slice(None), Kind.METRIC, tensor="accuracy", mean=0.6)
    found = diagnose(run.reader()).findings
    (misfit,) = (one for one in found if one.symptom is Symptom.LOSS_DOES_NOT_FIT)
    assert misfit.severity is severity
    assert ("never answering it" in misfit.statement) is is_median


@pytest.mark.parametrize(
    ("header", "severity"),
    [
        (in_halves(with_optimizer(epsilon=1e-7)), Severity.SEVERE),
        (in_halves(with_optimizer(epsilon=1e-4)), None),
        (with_optimizer(epsilon=1e-7), None),
    ],
)
def test_an_epsilon_that_float16_loses_is_the_optimizers_fault(
    header: Header, severity: Severity | None
) -> None:
    diagnosis = diagnose(badly(header).reader())
    assert seen(diagnosis, Symptom.LOST_EPSILON) is severity
    if severity is not None:
        assert diagnosis.suspects[0].cause is Cause.OPTIMIZER
        assert "epsilon=1e-3" in diagnosis.suspects[0].fix


def test_a_loss_that_falls_steadily_does_not_oscillate() -> None:
    steady = _with_epochs(badly(network()), loss=[2.0 / (1 + i) for i in range(12)])
    assert seen(diagnose(steady.reader()), Symptom.LOSS_OSCILLATING) is None


def test_a_weakness_in_a_run_of_little_skill_is_no_fault() -> None:
    run = FakeRun(N, network("linear", 1, "mse", replace(VALUES, shape=(None, 1))))
    run.iterations["loss"] = 0.7 + 0.1 * np.random.default_rng(0).standard_normal(N)
    run.put(slice(None), Kind.INPUT, tensor="x", mean=10.0, rms=20.0)
    diagnosis = diagnose(run.reader())
    assert seen(diagnosis, Symptom.INPUT_NOT_SCALED) is Severity.NOTICE
    assert diagnosis.verdict is Verdict.HEALTHY


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
