"""A schedule leaves out most iterations: the verdict stays what the whole trace gives."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from deeplocalize.analyzer.causes import Cause
from deeplocalize.analyzer.chunks import read_first, read_last
from deeplocalize.analyzer.diagnosis import Verdict, diagnose
from deeplocalize.analyzer.ends import N_ROWS, read_ends
from deeplocalize.analyzer.reports import REPORTS, Style
from deeplocalize.analyzer.rules.rule import Symptom
from deeplocalize.traces.schema import Kind

from .networks import badly, network, well
from .runs import HEADER, FakeRun

N = 1200

SCHEDULES: dict[str, Callable[[int], bool]] = {
    "every iteration": lambda i: True,
    "every 10th": lambda i: i % 10 == 0,
    "every 50th": lambda i: i % 50 == 0,
    "powers of two": lambda i: i & (i - 1) == 0,
    "the first 64": lambda i: i < 64,
    "every 20th, not the first": lambda i: i % 20 == 19,
}


def healthy() -> FakeRun:
    return FakeRun(N)


def dead() -> FakeRun:
    return FakeRun(N).zero(slice(None), Kind.OUTPUT, "fc1")


def vanishing() -> FakeRun:
    run = FakeRun(N).put(slice(None), Kind.WEIGHT_GRADIENT, "fc1", "kernel", rms=1e-9)
    return run.put(slice(None), Kind.WEIGHT_UPDATE, "fc1", "kernel", rms=1e-9)


def unmoved() -> FakeRun:
    run = FakeRun(N)
    for layer in ("fc1", "fc2"):
        run.zero(slice(None), Kind.WEIGHT_UPDATE, layer, "kernel")
    return run


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_thinned_healthy_run_is_never_called_faulty(schedule: str) -> None:
    for run in (healthy(), FakeRun(N, seed=1)):
        diagnosis = diagnose(run.thin(SCHEDULES[schedule]).reader())
        assert diagnosis.verdict is Verdict.HEALTHY
        assert diagnosis.findings == ()


def test_schedules_by_pattern_are_told_with_the_extent() -> None:
    schedule = {"statistics": {"Dense": "every(3)", "cf*": "every(2)"}, "unmatched": ["cf*"]}
    reader = FakeRun(30, replace(HEADER, schedule=schedule)).reader()
    extent = "30 of 30 iterations, not every series in each of them: Dense every(3)"
    assert diagnose(reader).coverage.extent == extent
    for report in REPORTS:
        if report != "json":
            text = REPORTS[report](diagnose(reader), reader, Style(False, False))
            assert "not every series in each of them: Dense every(3)" in " ".join(text.split())


def test_what_is_too_little_says_that_the_rest_was_watched() -> None:
    diagnosis = diagnose(FakeRun(30).thin(lambda i: i in (0, 21)).reader())
    assert diagnosis.verdict is Verdict.UNKNOWN
    assert "of 30 there are 2; the others were only watched" in diagnosis.needs
    needs = {entry.rule: entry.needs for entry in diagnosis.coverage.unjudged}
    assert needs["dead units"] == "20 iterations, as which the recorded ones count 7"
    assert needs["large update"] == "3 iterations, as which the recorded ones count 2"
    nothing = diagnose(FakeRun(30).thin(lambda i: False).reader())
    assert "of 30 there are none; the others were only watched" in nothing.needs
    whole = {entry.rule: entry.needs for entry in diagnose(FakeRun(7).reader()).coverage.unjudged}
    assert whole["dead units"] == "20 iterations, not 7"


@pytest.mark.parametrize("make", [dead, vanishing, unmoved])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_thinned_faulty_run_gets_the_same_first_suspect(
    make: Callable[[], FakeRun], schedule: str
) -> None:
    whole = diagnose(make().reader())
    thinned = diagnose(make().thin(SCHEDULES[schedule]).reader())
    assert thinned.verdict is whole.verdict is Verdict.FAULTY
    assert thinned.first_fault is not None and whole.first_fault is not None
    assert thinned.first_fault.symptom is whole.first_fault.symptom
    assert thinned.first_fault.place == whole.first_fault.place
    assert thinned.suspects[0].cause is whole.suspects[0].cause


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_what_holds_in_a_few_rows_at_the_start_is_no_symptom(schedule: str) -> None:
    run = FakeRun(N).zero(slice(0, 16), Kind.OUTPUT, "fc1").thin(SCHEDULES[schedule])
    assert diagnose(run.reader()).verdict is Verdict.HEALTHY


def test_three_rows_far_apart_are_too_few_for_a_verdict() -> None:
    run = FakeRun(N).zero(slice(None), Kind.OUTPUT, "fc1").thin(lambda i: i in (0, 400, 800))
    diagnosis = diagnose(run.reader())
    assert diagnosis.verdict is Verdict.UNKNOWN
    assert diagnosis.first_fault is None


def test_an_accuracy_of_the_first_iterations_says_nothing_about_the_last() -> None:
    run = FakeRun(N).put(slice(0, 64), Kind.METRIC, tensor="accuracy", mean=0.1)
    diagnosis = diagnose(run.thin(lambda i: i < 64).reader())
    assert diagnosis.verdict is Verdict.HEALTHY


def test_weights_are_judged_by_what_they_began_with_only_where_that_was_recorded() -> None:
    def findings(keep: Callable[[int], bool]) -> set[Symptom]:
        run = badly(network()).put(slice(None), Kind.WEIGHT, "fc1", "kernel", rms=30.0)
        return {finding.symptom for finding in diagnose(run.thin(keep).reader()).findings}

    assert Symptom.WEIGHTS_OUT_OF_SCALE in findings(lambda i: i % 50 == 0)
    assert Symptom.WEIGHTS_OUT_OF_SCALE not in findings(lambda i: i % 50 == 49)


def test_large_inputs_are_seen_in_any_thinned_trace() -> None:
    for keep in SCHEDULES.values():
        run = badly(network()).put(slice(None), Kind.INPUT, tensor="x", mean=33.0, rms=85.0)
        symptoms = {finding.symptom for finding in diagnose(run.thin(keep).reader()).findings}
        assert Symptom.INPUT_NOT_SCALED in symptoms


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("stop", [1, 50, 333, N])
def test_first_and_last_rows_are_those_that_were_recorded(schedule: str, stop: int) -> None:
    run = well(network()) if stop < N else FakeRun(N)
    stop = min(stop, len(run.iterations["iteration"]))
    reader = run.thin(SCHEDULES[schedule]).reader()
    recorded: Sequence[int] = run.recorded[run.recorded < stop].tolist()
    first, last = (read(reader, N_ROWS, stop, ("n", "rms")) for read in (read_first, read_last))
    assert first.recorded.tolist() == recorded[:N_ROWS]
    assert last.recorded.tolist() == recorded[-N_ROWS:]
    column = run.index(Kind.LOSS)
    for block in (first, last):
        rows = np.searchsorted(run.recorded, block.recorded)
        np.testing.assert_array_equal(
            block.statistics["rms"][:, column], run.statistics["rms"][rows, column]
        )


def test_the_ends_of_a_run_do_not_reach_into_its_middle() -> None:
    ends = read_ends(FakeRun(N).thin(lambda i: i % 50 == 0).reader())
    assert ends.start.recorded.tolist() == [0, 50, 100]
    assert ends.stop.recorded.tolist() == [1050, 1100, 1150]


def test_a_fault_after_iterations_that_were_not_recorded_says_so_and_is_less_certain() -> None:
    def blown_up() -> FakeRun:
        run = FakeRun(60)
        run.statistics["rms"][10:, run.index(Kind.WEIGHT, "fc1", "kernel")] *= 1e6
        return run.put(30, Kind.OUTPUT, "mid", n_posinf=5).breaks(30, Kind.OUTPUT, "mid")

    whole = diagnose(blown_up().reader())
    thinned = diagnose(blown_up().thin(lambda i: i < 2 or i >= 30).reader())
    for diagnosis in (whole, thinned):
        assert diagnosis.suspects[0].cause is Cause.LEARNING_RATE
    assert thinned.suspects[0].confidence < whole.suspects[0].confidence
    assert whole.first_fault is not None and whole.first_fault.caveat == ""
    assert thinned.first_fault is not None
    assert "Of the 28 iterations right before it nothing was recorded" in thinned.first_fault.caveat
