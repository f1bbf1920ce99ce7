from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from deeplocalize.analyzer import analyze
from deeplocalize.analyzer.causes import Cause, Target
from deeplocalize.analyzer.chain import Relation
from deeplocalize.analyzer.diagnosis import Diagnosis, Verdict, diagnose
from deeplocalize.analyzer.localization import FirstFault
from deeplocalize.analyzer.operation import Nature
from deeplocalize.analyzer.places import layer_ref
from deeplocalize.analyzer.producer import Origin
from deeplocalize.traces.files import create_writer
from deeplocalize.traces.header import Layer, Series
from deeplocalize.traces.schema import Kind, Phase

from .runs import HEADER, LAYERS, FakeRun, unfed, unrecorded


def fault_of(run: FakeRun) -> FirstFault:
    fault = diagnose(run.reader()).first_fault
    assert fault is not None
    return fault


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


def test_an_unrecorded_layer_before_the_first_sign_may_be_the_producer_as_well() -> None:
    run = FakeRun().put(22, Kind.OUTPUT, "fc2", n_nan=1).breaks(22, Kind.OUTPUT, "fc2")
    fault = fault_of(unrecorded(run, "mid"))
    assert fault.layer is not None
    assert fault.layer.name == "fc2"
    assert [layer.name for layer in fault.alternatives] == ["mid"]


def test_a_recorded_layer_before_rules_those_behind_it_out() -> None:
    run = FakeRun().put(22, Kind.OUTPUT, "fc1", n_nan=1).breaks(22, Kind.OUTPUT, "fc1")
    assert fault_of(unrecorded(run, "mid")).alternatives == ()


def test_without_the_graph_unrecorded_layers_are_told_by_their_order() -> None:
    run = FakeRun().put(22, Kind.OUTPUT, "fc2", n_nan=1).breaks(22, Kind.OUTPUT, "fc2")
    run.header = replace(HEADER, layers=tuple(replace(layer, inbound=()) for layer in LAYERS))
    fault = fault_of(unrecorded(run, "mid"))
    assert [layer.name for layer in fault.alternatives] == ["mid"]


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


def broken(layer: str) -> FakeRun:
    return FakeRun().put(22, Kind.OUTPUT, layer, n_nan=1).breaks(22, Kind.OUTPUT, layer)


def test_an_input_that_was_not_recorded_is_not_called_finite() -> None:
    diagnosis = diagnose(unfed(broken("fc1"), Kind.INPUT).reader())
    fault = diagnosis.first_fault
    assert fault is not None and fault.layer is not None
    assert fault.layer.name == "fc1"
    assert "which was not recorded" in fault.explanation and "finite" not in fault.explanation
    assert fault.caveat.startswith("The input of this batch was not recorded")
    first, second = diagnosis.suspects
    assert (first.cause, second.cause) == (Cause.INPUT_VALUES, Cause.NUMERICAL_INSTABILITY)
    assert first.confidence > 2 * second.confidence
    assert "receives finite inputs and weights" in fault_of(broken("fc1")).explanation


def test_an_input_that_was_not_recorded_reaches_the_layers_of_a_model_within() -> None:
    config = {"layers": [{"class_name": "InputLayer", "config": {"name": "in"}}]}
    inner = {"layers": [{"class_name": "InputLayer", "config": {"name": "tower_in"}}]}
    config["layers"].append({"class_name": "Functional", "config": inner})
    tower = Layer(0, "tower", "tower", "Functional", 0, inbound=("in",))
    first = replace(LAYERS[0], path="tower/fc1", inbound=("tower_in",))
    run = broken("fc1")
    run.header = replace(HEADER, layers=(first, *LAYERS[1:], tower), model_config=config)
    assert fault_of(unfed(run, Kind.INPUT)).unseen == (Kind.INPUT,)
    run = broken("fc1")
    behind = replace(tower, order=4, inbound=("fc2",))
    run.header = replace(HEADER, layers=(first, *LAYERS[1:], behind), model_config=config)
    assert fault_of(unfed(run, Kind.INPUT)).unseen == ()


def test_a_recorded_layer_before_rules_out_an_input_that_was_not() -> None:
    fault = fault_of(unfed(broken("fc2"), Kind.INPUT))
    assert fault.unseen == () and "receives finite inputs and weights" in fault.explanation
    unseen_before = unrecorded(unrecorded(broken("fc2"), "mid"), "fc1")
    assert fault_of(unfed(unseen_before, Kind.INPUT)).unseen == (Kind.INPUT,)


def test_labels_that_were_not_recorded_may_have_broken_the_loss() -> None:
    run = FakeRun().put(22, Kind.LOSS, n_nan=1).breaks(22, Kind.LOSS)
    diagnosis = diagnose(unfed(run, Kind.LABEL).reader())
    assert diagnosis.first_fault is not None
    assert diagnosis.first_fault.caveat.startswith("The label of this batch was not recorded")
    causes = {suspect.cause: suspect for suspect in diagnosis.suspects}
    assert "y = np.nan_to_num(y)" in causes[Cause.INPUT_VALUES].fix
    assert Cause.NUMERICAL_INSTABILITY in causes


def test_weights_that_were_not_recorded_are_not_called_finite() -> None:
    run = broken("fc1")
    run.put(22, Kind.WEIGHT, "fc1", "kernel", n=-1)
    assert "receives finite inputs, and" in fault_of(run).explanation


def test_products_are_blamed_only_where_they_can_overflow() -> None:
    assert fault_of(broken("fc1")).hint == ""
    run = broken("fc1").put(22, Kind.INPUT, max=1e20).put(22, Kind.WEIGHT, "fc1", max=1e17)
    assert "products of values up to 1e+20 leave the range" in fault_of(run).hint


def test_an_input_beyond_the_range_of_what_the_layer_computes_in_is_not_called_finite() -> None:
    series = tuple(
        replace(s, dtype="float64" if s.kind is Kind.INPUT else s.dtype) for s in HEADER.series
    )
    run = FakeRun(header=replace(HEADER, series=series)).put(22, Kind.INPUT, max=1e39)
    run.put(22, Kind.OUTPUT, "fc1", n_posinf=1).breaks(22, Kind.OUTPUT, "fc1")
    explanation = fault_of(run).explanation
    assert "inputs up to 1e+39, which is infinite in float32" in explanation
    assert "finite inputs" not in explanation


def test_the_input_of_a_trace_without_any_is_not_called_finite() -> None:
    run = broken("fc1")
    kept = [k for k, s in enumerate(run.header.series) if s.kind is not Kind.INPUT]
    run.header = replace(run.header, series=tuple(run.header.series[k] for k in kept))
    run.statistics = {name: values[:, kept] for name, values in run.statistics.items()}
    assert fault_of(run).unseen == (Kind.INPUT,)


def test_a_layer_within_another_takes_no_batch_where_one_beside_it_comes_first() -> None:
    run = broken("mid")
    first, middle, last = (replace(layer, inbound=()) for layer in LAYERS)
    first, middle = replace(first, path="block/fc1"), replace(middle, path="block/mid")
    block = Layer(0, "block", "block", "Block", 0)
    run.header = replace(HEADER, layers=(first, middle, last, block), model_class="Own")
    assert fault_of(unfed(run, Kind.INPUT)).unseen == ()
    run = broken("fc1")
    run.header = replace(HEADER, layers=(first, middle, last, block), model_class="Own")
    assert fault_of(unfed(run, Kind.INPUT)).unseen == (Kind.INPUT,)


def test_products_of_float64_overflow_as_well() -> None:
    series = tuple(replace(s, dtype="float64") for s in HEADER.series)
    run = FakeRun(header=replace(HEADER, series=series)).put(22, Kind.INPUT, max=1e200)
    run.put(22, Kind.OUTPUT, "fc1", n_posinf=1).breaks(22, Kind.OUTPUT, "fc1")
    assert "products of values up to 1e+200 leave the range of float64" in fault_of(run).hint
