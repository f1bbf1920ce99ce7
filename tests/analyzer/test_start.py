"""What a network begins with, before its first step."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from deeplocalize.analyzer.causes import Cause
from deeplocalize.analyzer.diagnosis import diagnose
from deeplocalize.analyzer.rules.rule import Severity, Symptom
from deeplocalize.traces.header import Series
from deeplocalize.traces.schema import Kind

from .networks import badly, large_weights, network, seen, well
from .runs import FakeRun


def _equal_weights(run: FakeRun) -> FakeRun:
    return run.put(slice(None), Kind.WEIGHT, "fc1", "kernel", min=0.5, max=0.5)


@pytest.mark.parametrize("earlier", [{"continues": "run.h5"}, {"n_updates_before": 100}])
def test_weights_that_were_trained_before_are_not_judged_as_initial_ones(
    earlier: dict[str, Any],
) -> None:
    fresh, resumed = network(), replace(network(), **earlier)
    for change in (large_weights, _equal_weights):
        symptoms = {Symptom.WEIGHTS_OUT_OF_SCALE, Symptom.EQUAL_WEIGHTS}
        assert any(seen(diagnose(change(badly(fresh)).reader()), s) for s in symptoms)
        assert not any(seen(diagnose(change(badly(resumed)).reader()), s) for s in symptoms)


def _begins_with(value: float, run: FakeRun) -> FakeRun:
    return run.put(0, Kind.WEIGHT, "fc1", "kernel", min=value, max=value)


def _one_gradient(run: FakeRun) -> FakeRun:
    same = {"min": 0.02, "max": 0.02, "rms": 0.02}
    return run.put(slice(None), Kind.WEIGHT_GRADIENT, "fc1", "bias", **same)


def test_zeros_that_gradients_tell_apart_are_no_fault_even_in_a_run_that_fails() -> None:
    run = _begins_with(0.0, badly(network()))
    assert seen(diagnose(run.reader()), Symptom.EQUAL_WEIGHTS) is None


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_units_that_begin_alike_and_are_given_one_gradient_stay_the_same(value: float) -> None:
    failing = diagnose(_one_gradient(_begins_with(value, badly(network()))).reader())
    assert seen(failing, Symptom.EQUAL_WEIGHTS) is Severity.SEVERE
    fine = diagnose(_one_gradient(_begins_with(value, well(network()))).reader())
    assert seen(fine, Symptom.EQUAL_WEIGHTS) is Severity.NOTICE


@pytest.mark.parametrize(
    ("keep", "is_seen"), [(lambda i: i == 0, False), (lambda i: i % 10 == 0, True)]
)
def test_what_was_recorded_at_the_beginning_alone_is_not_so_to_the_end(
    keep: Callable[[int], bool], is_seen: bool
) -> None:
    run = badly(network()).put(slice(None), Kind.WEIGHT, "fc1", "kernel", min=0.0, max=0.0)
    found = seen(diagnose(run.thin(keep).reader()), Symptom.EQUAL_WEIGHTS)
    assert (found is not None) is is_seen


def test_units_that_begin_alike_and_grow_apart_are_a_weakness() -> None:
    for run, severity in ((badly(network()), Severity.SEVERE), (well(network()), Severity.NOTICE)):
        diagnosis = diagnose(_begins_with(0.5, run).reader())
        assert seen(diagnosis, Symptom.EQUAL_WEIGHTS) is severity


def test_the_weight_that_begins_with_zeros_is_named() -> None:
    header = network()
    adapter = [
        Series(kind, 50 + i, 0, 0, "adapter", (4, 8))
        for i, kind in enumerate((Kind.WEIGHT, Kind.WEIGHT_UPDATE))
    ]
    run = badly(replace(header, series=(*header.series, *adapter)))
    run.zero(slice(None), Kind.WEIGHT, "fc1", "adapter")
    found = diagnose(run.reader()).findings
    (equal,) = (one for one in found if one.symptom is Symptom.EQUAL_WEIGHTS)
    assert equal.place.tensor == "adapter"
    assert equal.in_numbers.endswith("(units of the layer: 8)")


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
