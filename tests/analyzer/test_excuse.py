"""Layers that do not learn: a fault, unless the model learned all the same."""

from dataclasses import replace

from deeplocalize.analyzer.diagnosis import Verdict, diagnose
from deeplocalize.analyzer.rules.rule import Severity, Symptom
from deeplocalize.traces.schema import Kind

from .networks import badly, network, seen, well
from .runs import FakeRun


def idle(run: FakeRun) -> FakeRun:
    """The run with a first layer that no gradient reaches, and that does not move."""
    run.zero(slice(None), Kind.WEIGHT_UPDATE, "fc1", "kernel")
    series = run.header.series
    kept = [k for k, s in enumerate(series) if (s.kind, s.layer) != (Kind.WEIGHT_GRADIENT, 0)]
    run.header = replace(run.header, series=tuple(series[k] for k in kept))
    run.statistics = {name: values[:, kept] for name, values in run.statistics.items()}
    return run


def test_layers_that_do_not_learn_are_excused_where_the_model_does() -> None:
    fine = diagnose(idle(well(network())).reader())
    assert seen(fine, Symptom.UNCHANGED_WEIGHT) is Severity.NOTICE
    assert fine.verdict is Verdict.HEALTHY
    poor = diagnose(idle(badly(network())).reader())
    assert seen(poor, Symptom.UNCHANGED_WEIGHT) is Severity.SEVERE
    assert poor.verdict is Verdict.FAULTY


def test_a_dead_layer_is_not_excused() -> None:
    dead = well(network()).zero(slice(None), Kind.OUTPUT, "fc1")
    assert diagnose(dead.reader()).verdict is Verdict.FAULTY
