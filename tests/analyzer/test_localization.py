from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from deeplocalize.analyzer import analyze
from deeplocalize.analyzer.causes import Cause, Target
from deeplocalize.analyzer.chain import Relation
from deeplocalize.analyzer.diagnosis import Diagnosis, Verdict, diagnose
from deeplocalize.analyzer.operation import Nature
from deeplocalize.analyzer.places import layer_ref
from deeplocalize.analyzer.producer import Origin
from deeplocalize.traces.files import create_writer
from deeplocalize.traces.header import Layer, Series
from deeplocalize.traces.schema import Kind, Phase

from .networks import fault_of
from .runs import HEADER, LAYERS, FakeRun


def exploding(run: FakeRun, until: int) -> FakeRun:
    """Weights that grow tenfold a step over the last iterations before one."""
    growth = 10.0 ** np.clip(np.arange(60) - until + 8, 0, None)
    for i, series in enumerate(run.header.series):
        if series.kind in (Kind.WEIGHT, Kind.WEIGHT_UPDATE, Kind.WEIGHT_GRADIENT):
            run.statistics["rms"][:, i] *= growth
    return run


@dataclass(frozen=True)
class Scenario:
    """A fault and what must be said about it."""

    make: Callable[[], FakeRun]
    iteration: int
    phase: Phase
    layer: str | None
    kind: Kind
    cause: Cause
    target: Target
    hint: str = ""


SCENARIOS = {
    "a NaN in one input row": Scenario(
        lambda: FakeRun().put(37, Kind.INPUT, n_nan=1).breaks(37, Kind.INPUT),
        37, Phase.INPUT, None, Kind.INPUT, Cause.INPUT_VALUES, Target.DATA,
    ),
    "a NaN in the labels": (
        Scenario(
            lambda: FakeRun().put(37, Kind.LABEL, n_nan=1).breaks(37, Kind.OUTPUT, "fc2"),
            37, Phase.INPUT, None, Kind.LABEL, Cause.INPUT_VALUES, Target.DATA,
        )
    ),
    "the logarithm of zero": Scenario(
        lambda: FakeRun()
        .put(22, Kind.OUTPUT, "fc1", n_zero=5, min=0.0)
        .put(22, Kind.OUTPUT, "mid", n_neginf=5)
        .breaks(22, Kind.OUTPUT, "mid"),
        22, Phase.FORWARD, "mid", Kind.OUTPUT, Cause.NUMERICAL_INSTABILITY, Target.LAYER,
        hint="log(0)",
    ),
    "an exponential that overflows": Scenario(
        lambda: FakeRun()
        .put(22, Kind.OUTPUT, "fc1", max=95.0, n_zero=0)
        .put(22, Kind.OUTPUT, "mid", n_posinf=5)
        .breaks(22, Kind.OUTPUT, "mid"),
        22, Phase.FORWARD, "mid", Kind.OUTPUT, Cause.NUMERICAL_INSTABILITY, Target.LAYER,
        hint="exp overflows float32",
    ),
    "the square root of a negative number": Scenario(
        lambda: FakeRun()
        .put(22, Kind.OUTPUT, "fc1", min=-0.25, n_zero=0)
        .put(22, Kind.OUTPUT, "mid", n_nan=5)
        .breaks(22, Kind.OUTPUT, "mid"),
        22, Phase.FORWARD, "mid", Kind.OUTPUT, Cause.NUMERICAL_INSTABILITY, Target.LAYER,
        hint="-0.25",
    ),
    "the square root at zero": Scenario(
        lambda: FakeRun()
        .put(22, Kind.OUTPUT, "fc1", n_zero=5, min=0.0)
        .put(22, Kind.OUTPUT_GRADIENT, "fc1", n_nan=5)
        .breaks(22, Kind.OUTPUT_GRADIENT, "fc1"),
        22, Phase.BACKWARD, "mid", Kind.OUTPUT_GRADIENT, Cause.NUMERICAL_INSTABILITY,
        Target.LAYER, hint="derivative of a square root",
    ),
    "a loss of its own that is not finite": Scenario(
        lambda: FakeRun().put(22, Kind.LOSS, n_posinf=1).breaks(22, Kind.LOSS),
        22, Phase.LOSS, None, Kind.LOSS, Cause.NUMERICAL_INSTABILITY, Target.LOSS,
    ),
    "a derivative of the loss that is not finite": Scenario(
        lambda: FakeRun()
        .put(22, Kind.OUTPUT_GRADIENT, "fc2", n_nan=1)
        .breaks(22, Kind.OUTPUT_GRADIENT, "fc2"),
        22, Phase.BACKWARD, "fc2", Kind.OUTPUT_GRADIENT, Cause.NUMERICAL_INSTABILITY, Target.LOSS,
    ),
    "a gradient of a weight that overflows": Scenario(
        lambda: FakeRun()
        .put(22, Kind.WEIGHT_GRADIENT, "fc1", "kernel", n_posinf=1)
        .breaks(22, Kind.WEIGHT_GRADIENT, "fc1", "kernel"),
        22, Phase.BACKWARD, "fc1", Kind.WEIGHT_GRADIENT, Cause.NUMERICAL_INSTABILITY,
        Target.LAYER,
    ),
    "a learning rate that makes weights overflow": Scenario(
        lambda: exploding(FakeRun(), 31)
        .put(31, Kind.WEIGHT_UPDATE, "fc1", "kernel", n_posinf=3)
        .breaks(31, Kind.WEIGHT_UPDATE, "fc1", "kernel"),
        31, Phase.UPDATE, "fc1", Kind.WEIGHT_UPDATE, Cause.LEARNING_RATE, Target.OPTIMIZER,
    ),
    "weights that are NaN before the first step": Scenario(
        lambda: FakeRun()
        .put(0, Kind.WEIGHT, "fc2", "kernel", n_nan=24)
        .breaks(0, Kind.OUTPUT, "mid"),
        0, Phase.STATE, "fc2", Kind.WEIGHT, Cause.WEIGHT_INITIALIZATION, Target.LAYER,
    ),
    "weights that something else made NaN between two steps": Scenario(
        lambda: FakeRun()
        .put(20, Kind.WEIGHT, "fc2", "kernel", n_nan=24)
        .breaks(20, Kind.OUTPUT, "mid"),
        20, Phase.STATE, "fc2", Kind.WEIGHT, Cause.UNKNOWN, Target.TRAINING,
    ),
    "state that is NaN while the loss is not": Scenario(
        lambda: FakeRun().put(slice(41, None), Kind.STATE, "mid", n_nan=8),
        41, Phase.UPDATE, "mid", Kind.STATE, Cause.NUMERICAL_INSTABILITY, Target.LAYER,
    ),
    "a dead ReLU layer": Scenario(
        lambda: FakeRun().zero(slice(12, None), Kind.OUTPUT, "fc1"),
        12, Phase.FORWARD, "fc1", Kind.OUTPUT, Cause.HIDDEN_ACTIVATION, Target.LAYER,
    ),
}  # fmt: skip


def assert_is_located(diagnosis: Diagnosis, scenario: Scenario) -> None:
    fault = diagnosis.first_fault
    assert diagnosis.verdict is Verdict.FAULTY
    assert fault is not None
    assert fault.moment.iteration == scenario.iteration
    assert (fault.moment.epoch, fault.moment.batch) == divmod(scenario.iteration, 20)
    assert fault.phase is scenario.phase
    assert (fault.layer.name if fault.layer else None) == scenario.layer
    assert fault.place.kind is scenario.kind
    assert scenario.hint in fault.hint
    assert (diagnosis.suspects[0].cause, diagnosis.suspects[0].target) == (
        scenario.cause,
        scenario.target,
    )


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_fault_is_located_and_its_cause_suspected_first(name: str) -> None:
    scenario = SCENARIOS[name]
    assert_is_located(diagnose(scenario.make().reader()), scenario)


@pytest.mark.parametrize("suffix", [".h5", ".parquet"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_same_is_said_of_a_trace_on_disk(name: str, suffix: str, tmp_path: Path) -> None:
    scenario = SCENARIOS[name]
    path = tmp_path / f"run{suffix}"
    scenario.make().write(create_writer(path))
    assert_is_located(analyze(path), scenario)


def test_an_infinity_tells_an_overflow_from_an_undefined_operation() -> None:
    def nature(n_posinf: int) -> Nature | None:
        run = FakeRun().put(22, Kind.OUTPUT, "mid", n_nan=3, n_posinf=n_posinf)
        return fault_of(run.breaks(22, Kind.OUTPUT, "mid")).nature

    assert nature(n_posinf=1) is Nature.INFINITE
    assert nature(n_posinf=0) is Nature.UNDEFINED


def test_what_grew_before_is_in_the_chain_and_what_follows_too() -> None:
    fault = fault_of(SCENARIOS["a learning rate that makes weights overflow"].make())
    relations = [link.relation for link in fault.chain]
    assert relations == sorted(relations, key=list(Relation).index)
    assert set(relations) == set(Relation)
    before = [link for link in fault.chain if link.relation is Relation.BEFORE]
    assert "grew" in before[0].sentence
    assert before[0].iteration == 31


def test_an_activation_that_breaks_a_finite_preactivation_is_the_producer() -> None:
    extra = Series(Kind.PREACTIVATION, 6, 0, 0, "", (None, 8))
    moved = tuple(replace(s, position=s.position + (s.position >= 6)) for s in HEADER.series)
    run = FakeRun(header=replace(HEADER, series=(*moved, extra)))
    run.put(22, Kind.PREACTIVATION, "fc1", max=99.0)
    run.put(22, Kind.OUTPUT, "fc1", n_posinf=1).breaks(22, Kind.OUTPUT, "fc1")
    run.put(slice(None), Kind.PREACTIVATION, "fc1", n_nan=0)
    fault = fault_of(run)
    assert fault.layer is not None
    assert fault.layer.name == "fc1"
    assert "pre-activation" in fault.explanation
    assert "99" in fault.hint


def test_a_run_that_broke_is_explained_by_where_it_broke_not_by_slower_symptoms() -> None:
    run = FakeRun().zero(slice(5, None), Kind.OUTPUT, "fc1")
    run.put(slice(50, None), Kind.WEIGHT, "fc2", "kernel", n_nan=1)
    fault = fault_of(run)
    assert (fault.moment.iteration, fault.place.kind) == (50, Kind.WEIGHT)


def test_a_loss_that_overflows_is_blamed_on_the_layer_that_made_its_arguments_huge() -> None:
    run = FakeRun().put(0, Kind.OUTPUT, "mid", max=1e25).put(0, Kind.OUTPUT, "fc2", max=1e25)
    run.put(0, Kind.LOSS, n_posinf=1).breaks(0, Kind.LOSS)
    diagnosis = diagnose(run.reader())
    fault = diagnosis.first_fault
    assert fault is not None and fault.layer is not None
    assert (fault.layer.name, fault.origin) == ("mid", Origin.AMPLIFICATION)
    assert diagnosis.suspects[0].cause is Cause.WEIGHT_INITIALIZATION
    assert diagnosis.suspects[0].layer == fault.layer
    assert "recurrent" not in diagnosis.suspects[0].fix


def test_an_operation_between_layers_may_be_meant_as_well() -> None:
    layers = (LAYERS[0], replace(LAYERS[1], inbound=("fc1", "sqrt")), LAYERS[2])
    run = FakeRun(header=replace(HEADER, layers=layers))
    run.put(22, Kind.OUTPUT, "mid", n_nan=1).breaks(22, Kind.OUTPUT, "mid")
    assert 'or an operation before it that is no layer ("sqrt")' in fault_of(run).explanation


def test_the_input_of_a_model_is_no_operation() -> None:
    config = {"layers": [{"class_name": "InputLayer", "config": {"name": "in"}}]}
    layers = (LAYERS[0], replace(LAYERS[1], inbound=("fc1", "in")), LAYERS[2])
    run = FakeRun(header=replace(HEADER, layers=layers, model_config=config))
    run.put(22, Kind.OUTPUT, "mid", n_nan=1).breaks(22, Kind.OUTPUT, "mid")
    assert "operation" not in fault_of(run).explanation


def test_a_mask_of_infinities_is_not_blamed_for_a_later_fault() -> None:
    run = FakeRun().put(slice(None), Kind.OUTPUT, "fc1", n_neginf=4)
    run.put(22, Kind.OUTPUT, "mid", n_nan=1).breaks(22, Kind.OUTPUT, "mid")
    fault = fault_of(run)
    assert fault.layer is not None
    assert (fault.layer.name, fault.moment.iteration) == ("mid", 22)


def test_gaps_in_the_recording_before_a_broken_weight_are_told() -> None:
    run = FakeRun().put(slice(20, None), Kind.WEIGHT, "fc2", "kernel", n_nan=1)
    run.recorded = np.arange(0, 60, 4)
    run.statistics = {name: values[::4] for name, values in run.statistics.items()}
    fault = fault_of(run)
    assert fault.moment.iteration == 20
    assert "3 iterations before this one were not recorded" in fault.explanation


def test_a_layer_behind_a_nested_model_is_named_for_what_it_passes_back() -> None:
    first = replace(LAYERS[0], path="tower/fc1")
    taker = replace(LAYERS[1], inbound=("tower",))
    tower = Layer(0, "tower", "tower", "Sequential", 0)
    run = FakeRun(header=replace(HEADER, layers=(first, taker, LAYERS[2], tower)))
    run.put(30, Kind.OUTPUT_GRADIENT, "fc1", n_nan=1).breaks(30, Kind.OUTPUT_GRADIENT, "fc1")
    fault = fault_of(run)
    assert fault.origin is Origin.LAYER_DERIVATIVE
    assert fault.layer is not None and fault.layer.name == "mid"


def test_a_sign_that_did_no_harm_before_is_not_what_makes_a_value_undefined() -> None:
    run = FakeRun().put(slice(None), Kind.OUTPUT, "fc1", min=-0.25, n_zero=0)
    run.put(22, Kind.OUTPUT, "mid", n_nan=5).breaks(22, Kind.OUTPUT, "mid")
    hint = fault_of(run).hint
    assert "square root" not in hint and "0/0" in hint


def test_layers_of_one_name_are_told_apart_by_what_holds_them() -> None:
    tower = Layer(2, "dense", "tower/dense", "Dense", 3)
    assert str(layer_ref(tower)) == 'layer 2 "tower/dense" (Dense)'
