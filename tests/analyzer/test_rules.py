from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from deeplocalize.analyzer.diagnosis import Diagnosis, Verdict, diagnose
from deeplocalize.analyzer.findings import Finding
from deeplocalize.analyzer.rules import CURVE_RULES, RULES, Severity, Symptom
from deeplocalize.traces.schema import Kind

from .runs import HEADER, LAYERS, FakeRun

LATE = slice(15, None)


def diagnosis_of(run: FakeRun) -> Diagnosis:
    return diagnose(run.reader())


def found(run: FakeRun, symptom: Symptom) -> list[Finding]:
    return [finding for finding in diagnosis_of(run).findings if finding.symptom is symptom]


def with_activation(name: str) -> FakeRun:
    """A healthy run whose first layer squashes."""
    layers = (replace(LAYERS[0], activation=name), *LAYERS[1:])
    run = FakeRun(header=replace(HEADER, layers=layers))
    return run.put(slice(None), Kind.OUTPUT, "fc1", mean=0.5, rms=0.6, n_zero=0)


def scaled(run: FakeRun, kind: Kind, factor: float) -> FakeRun:
    """A fc1 kernel series that is larger by a factor from iteration 15 on."""
    i = run.index(kind, "fc1", "kernel")
    run.statistics["rms"][LATE, i] *= factor
    return run


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_iterations", [20, 60, 300])
def test_a_healthy_run_gives_no_finding_at_all(n_iterations: int, seed: int) -> None:
    diagnosis = diagnosis_of(FakeRun(n_iterations, seed=seed))
    assert diagnosis.findings == ()
    assert diagnosis.verdict is Verdict.HEALTHY


def test_names_of_rules_are_unique() -> None:
    names = [rule.name for rule in RULES] + [rule.name for rule in CURVE_RULES]
    assert len(names) == len(set(names))


FAULTS: dict[str, tuple[Callable[[], FakeRun], Symptom, Kind]] = {
    "a NaN in a weight": (
        lambda: FakeRun().put(LATE, Kind.WEIGHT, "fc2", "kernel", n_nan=1),
        Symptom.NON_FINITE,
        Kind.WEIGHT,
    ),
    "an output of zeros": (
        lambda: FakeRun().zero(LATE, Kind.OUTPUT, "fc2"),
        Symptom.STAYS_ZERO,
        Kind.OUTPUT,
    ),
    "a trained kernel of zeros": (
        lambda: FakeRun().zero(LATE, Kind.WEIGHT, "fc2", "kernel"),
        Symptom.STAYS_ZERO,
        Kind.WEIGHT,
    ),
    "a kernel without gradient": (
        lambda: FakeRun().zero(LATE, Kind.WEIGHT_GRADIENT, "fc1", "kernel"),
        Symptom.STAYS_ZERO,
        Kind.WEIGHT_GRADIENT,
    ),
    "a kernel that does not change": (
        lambda: FakeRun().zero(LATE, Kind.WEIGHT_UPDATE, "fc1", "kernel"),
        Symptom.UNCHANGED_WEIGHT,
        Kind.WEIGHT_UPDATE,
    ),
    "an exploding gradient": (
        lambda: scaled(FakeRun(), Kind.WEIGHT_GRADIENT, 1e6),
        Symptom.EXPLODING_GRADIENT,
        Kind.WEIGHT_GRADIENT,
    ),
    "a vanishing gradient": (
        lambda: scaled(scaled(FakeRun(), Kind.WEIGHT_GRADIENT, 1e-9), Kind.WEIGHT_UPDATE, 1e-9),
        Symptom.VANISHING_GRADIENT,
        Kind.WEIGHT_GRADIENT,
    ),
    "a dead ReLU layer": (
        lambda: FakeRun().zero(LATE, Kind.OUTPUT, "fc1"),
        Symptom.DEAD_UNITS,
        Kind.OUTPUT,
    ),
    "a saturated tanh layer": (
        lambda: with_activation("tanh").put(LATE, Kind.OUTPUT, "fc1", rms=0.9999, n_zero=0),
        Symptom.SATURATED_ACTIVATION,
        Kind.OUTPUT,
    ),
    "a saturated sigmoid layer": (
        lambda: with_activation("sigmoid").put(
            LATE, Kind.OUTPUT, "fc1", mean=0.5, rms=np.sqrt(0.4999), n_zero=0
        ),
        Symptom.SATURATED_ACTIVATION,
        Kind.OUTPUT,
    ),
    "updates that are lost": (
        lambda: scaled(FakeRun(), Kind.WEIGHT_UPDATE, 1e-8),
        Symptom.TINY_UPDATE,
        Kind.WEIGHT_UPDATE,
    ),
    "updates as large as the weight": (
        lambda: scaled(FakeRun(), Kind.WEIGHT_UPDATE, 1e3),
        Symptom.LARGE_UPDATE,
        Kind.WEIGHT_UPDATE,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_in_its_tensor_since_the_very_iteration(name: str) -> None:
    make, symptom, kind = FAULTS[name]
    (finding,) = found(make(), symptom)
    assert finding.place.kind is kind
    assert finding.onset == 15
    assert finding.last == 59


def test_every_rule_over_tensors_fires_in_some_test() -> None:
    seen = {
        finding.rule for make, _, _ in FAULTS.values() for finding in diagnosis_of(make()).findings
    }
    others = {
        "no step changes the weight",
        "non-finite tensor",
        "non-finite gradient by a tensor",
        "broken gradient",
    }
    assert seen | others == {rule.name for rule in RULES}


def test_weights_that_no_step_moves_are_found_only_if_that_is_so_in_the_whole_run() -> None:
    def frozen(at: slice) -> FakeRun:
        run = FakeRun()
        for layer in ("fc1", "fc2"):
            for tensor in ("kernel", "bias"):
                run.zero(at, Kind.WEIGHT_UPDATE, layer, tensor)
        return run

    everywhere = found(frozen(slice(None)), Symptom.UNCHANGED_WEIGHT)
    assert {str(f.place) for f in everywhere} == {
        'update of weight "kernel" of layer 0 "fc1" (Dense)',
        'update of weight "kernel" of layer 2 "fc2" (Dense)',
    }
    assert {f.onset for f in everywhere} == {0}
    assert found(frozen(slice(1, None)), Symptom.UNCHANGED_WEIGHT) == []


# --- What looks wrong and is not ----------------------------------------------------------------


def test_a_bias_of_zeros_is_healthy() -> None:
    assert diagnosis_of(FakeRun().zero(slice(None), Kind.WEIGHT, "fc1", "bias")).findings == ()


def test_a_frozen_layer_is_healthy() -> None:
    kinds = (Kind.WEIGHT_GRADIENT, Kind.WEIGHT_UPDATE)
    run = FakeRun()
    kept = [i for i, s in enumerate(HEADER.series) if not (s.layer == 0 and s.kind in kinds)]
    run.header = replace(HEADER, series=tuple(HEADER.series[i] for i in kept))
    run.statistics = {name: values[:, kept] for name, values in run.statistics.items()}
    constant = run.zero(slice(None), Kind.WEIGHT, "fc1", "kernel")
    assert diagnosis_of(constant).findings == ()


def test_units_that_are_dead_for_a_while_are_healthy() -> None:
    assert diagnosis_of(FakeRun().zero(slice(0, 55), Kind.OUTPUT, "fc1")).findings == ()


def test_a_few_dead_units_are_healthy() -> None:
    run = FakeRun().put(slice(None), Kind.OUTPUT, "fc1", n_zero_units=6)
    assert diagnosis_of(run).findings == ()


def test_a_perfect_fit_is_healthy() -> None:
    run = FakeRun(300)
    run.iterations["loss"][40:] = 0.0
    for kind in (Kind.WEIGHT_GRADIENT, Kind.WEIGHT_UPDATE, Kind.OUTPUT_GRADIENT):
        for i, series in enumerate(HEADER.series):
            if series.kind is kind:
                run.statistics["n_zero"][40:, i] = run.statistics["n"][40:, i]
                run.statistics["rms"][40:, i] = 0.0
    diagnosis = diagnosis_of(run)
    assert diagnosis.verdict is Verdict.HEALTHY
    assert [f for f in diagnosis.findings if f.severity > Severity.NOTICE] == []


def test_gradient_accumulation_and_skipped_steps_are_healthy() -> None:
    run = FakeRun()
    for row in range(60):
        if row % 8:
            for layer in ("fc1", "fc2"):
                for tensor in ("kernel", "bias"):
                    run.zero(row, Kind.WEIGHT_UPDATE, layer, tensor)
    assert diagnosis_of(run).findings == ()


def test_infinite_gradients_under_loss_scaling_are_healthy() -> None:
    run = FakeRun()
    run.iterations["loss_scale"][:] = 2.0**15
    for i, series in enumerate(HEADER.series):
        if series.kind in (Kind.WEIGHT_GRADIENT, Kind.OUTPUT_GRADIENT):
            run.statistics["n_posinf"][0, i] = 1
    assert diagnosis_of(run).findings == ()


def test_gradients_that_stay_infinite_are_found_once_the_loss_scale_is_used_up() -> None:
    run = FakeRun().put(slice(10, None), Kind.WEIGHT_GRADIENT, "fc1", "kernel", n_nan=1)
    run.iterations["loss_scale"][:] = np.maximum(2.0 ** (15 - np.arange(60)), 2.0**-20)
    (finding,) = found(run, Symptom.NON_FINITE)
    assert finding.onset == 15


def test_the_growth_of_a_scaled_gradient_is_that_of_the_scale() -> None:
    run = scaled(FakeRun(), Kind.WEIGHT_GRADIENT, 1e6)
    run.iterations["loss_scale"][15:] = 1e6
    assert found(run, Symptom.EXPLODING_GRADIENT) == []


def test_a_mask_of_infinities_that_breaks_nothing_is_a_notice() -> None:
    diagnosis = diagnosis_of(FakeRun().put(slice(None), Kind.OUTPUT, "mid", n_neginf=9))
    assert diagnosis.verdict is Verdict.HEALTHY
    assert [f.severity for f in diagnosis.findings] == [Severity.NOTICE]


def test_a_saturated_output_layer_is_a_confident_one() -> None:
    layers = (*LAYERS[:2], replace(LAYERS[2], activation="sigmoid"))
    run = FakeRun(header=replace(HEADER, layers=layers))
    run.put(slice(None), Kind.OUTPUT, "fc2", mean=0.5, rms=np.sqrt(0.49999))
    assert Symptom.SATURATED_ACTIVATION not in {f.symptom for f in diagnosis_of(run).findings}


def test_a_vector_that_stops_moving_is_healthy() -> None:
    assert diagnosis_of(FakeRun().zero(LATE, Kind.WEIGHT_UPDATE, "fc1", "bias")).findings == ()


def test_one_kernel_without_gradient_is_healthy_while_another_of_its_layer_learns() -> None:
    run = FakeRun()
    for kind in (Kind.WEIGHT, Kind.WEIGHT_GRADIENT, Kind.WEIGHT_UPDATE):
        # As in an RNN over sequences of length 1: the bias row stands in for a second kernel.
        i = run.index(kind, "fc1", "bias")
        series = list(run.header.series)
        series[i] = replace(series[i], tensor="recurrent_kernel", shape=(8, 8))
        run.header = replace(run.header, series=tuple(series))
    run.statistics["n_zero"][:, run.index(Kind.WEIGHT, "fc1", "recurrent_kernel")] = 0
    for kind in (Kind.WEIGHT_GRADIENT, Kind.WEIGHT_UPDATE):
        run.zero(slice(None), kind, "fc1", "recurrent_kernel")
    assert diagnosis_of(run).findings == ()


def test_iterations_that_were_not_recorded_neither_extend_nor_end_a_stretch() -> None:
    run = FakeRun().zero(LATE, Kind.OUTPUT, "fc1")
    run.put(slice(30, 50), Kind.OUTPUT, "fc1", n=-1)
    (finding,) = found(run, Symptom.DEAD_UNITS)
    assert (finding.onset, finding.n_holding, finding.n_judged) == (15, 25, 40)


def test_what_was_seen_before_the_stretch_that_counts_does_not_date_it() -> None:
    run = FakeRun(120).zero(4, Kind.OUTPUT, "fc1").zero(slice(60, None), Kind.OUTPUT, "fc1")
    diagnosis = diagnose(run.reader())
    (dead,) = (one for one in diagnosis.findings if one.symptom is Symptom.DEAD_UNITS)
    assert "since iteration 60 " in dead.in_numbers and "iteration 4)" not in dead.in_numbers
    assert diagnosis.first_fault is not None
    counted = "in 61 of the 120 recorded iterations that could be judged"
    assert counted in diagnosis.first_fault.explanation
