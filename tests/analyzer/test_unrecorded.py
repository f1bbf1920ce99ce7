"""Of what was not recorded nothing is claimed, and it may have been at fault."""

from dataclasses import replace

from deeplocalize.analyzer.causes import Cause
from deeplocalize.analyzer.diagnosis import diagnose
from deeplocalize.traces.header import Layer
from deeplocalize.traces.schema import Kind

from .networks import fault_of
from .runs import HEADER, LAYERS, FakeRun, unfed, unrecorded


def broken(layer: str) -> FakeRun:
    return FakeRun().put(22, Kind.OUTPUT, layer, n_nan=1).breaks(22, Kind.OUTPUT, layer)


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
