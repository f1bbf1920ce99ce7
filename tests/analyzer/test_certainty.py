"""Replays are sparse and may be inexact: what they may and may not be taken for."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from deeplocalize.analyzer.certainty import without_uncertain
from deeplocalize.analyzer.diagnosis import Diagnosis, Verdict, diagnose
from deeplocalize.analyzer.reports import terminal
from deeplocalize.analyzer.rules.rule import Symptom
from deeplocalize.traces.header import Series
from deeplocalize.traces.schema import STATISTICS, Kind

from .runs import FakeRun

BROKEN = 37


def replayed(
    run: FakeRun, layer: str, at: Iterable[int], n_differing: int = 0, of: str | None = ""
) -> FakeRun:
    """The run as if a layer's output had been recorded by replays of some iterations only.

    ``of`` is the layer that the check speaks for: the same one, another, or None for all.
    """
    i = run.index(Kind.OUTPUT, layer)
    owner = layer if of == "" else of
    position = next((k for k, x in enumerate(run.header.layers) if x.name == owner), None)
    series = list(run.header.series)
    series[i] = replace(series[i], replayed=True)
    check = Series(Kind.REPLAY_ERROR, 99, position, shape=(None,), dtype="int64", replayed=True)
    run.header = replace(
        run.header, series=(*series, check), schedule={"exact": "iterations of the test's choice"}
    )
    rows = np.isin(run.iterations["iteration"], list(at))
    for column in STATISTICS:
        values = run.statistics[column.name]
        values[~rows, i] = column.missing or 0
        added = np.full((len(values), 1), column.missing or 0, values.dtype)
        if column.name == "n":
            added[rows] = 1
        if column.name in ("min", "max", "mean", "mean_abs", "rms"):
            added[rows] = n_differing
        run.statistics[column.name] = np.concatenate([values, added], axis=1)
    return run


def broken_in_mid() -> FakeRun:
    run = FakeRun()
    units = int(run.statistics["n"][0, run.index(Kind.OUTPUT, "mid")])
    return run.breaks(BROKEN, Kind.OUTPUT, "mid").put(BROKEN, Kind.OUTPUT, "mid", n_nan=units)


def diagnosis_of(run: FakeRun) -> Diagnosis:
    return diagnose(run.reader())


@pytest.mark.parametrize("n_differing", [0, 5])
def test_a_healthy_run_with_sparse_replays_is_healthy(n_differing: int) -> None:
    found = diagnosis_of(replayed(FakeRun(), "mid", [0, 1, 2, 4, 8, 16, 32], n_differing))
    assert found.verdict is Verdict.HEALTHY
    assert not found.findings
    assert found.coverage.replay is not None
    assert (found.coverage.replay.n_series, found.coverage.replay.n_iterations) == (1, 7)
    assert found.coverage.replay.n_exact == (0 if n_differing else 7)
    report = terminal.render(found, replayed(FakeRun(), "mid", [0]).reader())
    assert "replayed" in report


def test_a_replay_names_the_layer_that_broke() -> None:
    fault = diagnosis_of(replayed(broken_in_mid(), "mid", [0, 1, 2, BROKEN])).first_fault
    assert fault is not None
    assert fault.layer is not None
    assert (fault.layer.name, fault.moment.iteration, fault.place.kind) == ("mid", 37, Kind.OUTPUT)
    assert fault.is_certain
    assert not fault.alternatives


@pytest.mark.parametrize("of", ["mid", None])
def test_an_inexact_replay_names_it_too_but_not_for_certain(of: str | None) -> None:
    exact = diagnosis_of(replayed(broken_in_mid(), "mid", [0, BROKEN]))
    inexact = diagnosis_of(replayed(broken_in_mid(), "mid", [0, BROKEN], 5, of))
    fault = inexact.first_fault
    assert fault is not None
    assert fault.layer is not None
    assert fault.layer.name == "mid"
    assert not fault.is_certain
    assert "replay that differs" in fault.explanation
    assert inexact.suspects[0].confidence < exact.suspects[0].confidence
    assert inexact.to_dict()["first_fault"]["is_certain"] is False


def test_a_check_of_another_layer_says_nothing_about_this_one() -> None:
    run = replayed(broken_in_mid(), "mid", [0, BROKEN])
    fault = diagnosis_of(replayed(run, "fc1", [0, BROKEN], 5)).first_fault
    assert fault is not None
    assert fault.is_certain


def test_a_layer_that_was_not_replayed_when_it_mattered_may_be_the_one() -> None:
    fault = diagnosis_of(replayed(broken_in_mid(), "mid", [0, 1, 2, 32])).first_fault
    assert fault is not None
    assert fault.layer is not None
    assert fault.layer.name == "fc2"
    assert [layer.name for layer in fault.alternatives] == ["mid"]


@pytest.mark.parametrize(("n_differing", "is_seen"), [(0, True), (5, False)])
def test_only_exact_replays_show_a_symptom(n_differing: int, is_seen: bool) -> None:
    run = FakeRun().zero(slice(None), Kind.OUTPUT, "fc1")
    found = diagnosis_of(replayed(run, "fc1", range(60), n_differing))
    dead = [f for f in found.findings if f.symptom is Symptom.DEAD_UNITS]
    assert bool(dead) == is_seen


def test_a_trace_without_replays_is_left_as_it_is() -> None:
    run = FakeRun()
    block = run.block()
    assert without_uncertain(run.header, block) is block


def test_a_recorder_that_replayed_nothing_is_quoted() -> None:
    run = FakeRun()
    run.header = replace(run.header, schedule={"exact": "a reason"})
    assert str(diagnosis_of(run).coverage.replay) == "no tensors (a reason)"
