import copy
import json
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from deeplocalize.analyzer.causes import Cause, Target
from deeplocalize.analyzer.causes.cause import fact_of
from deeplocalize.analyzer.conclusion import ending
from deeplocalize.analyzer.diagnosis import Verdict, diagnose
from deeplocalize.analyzer.run import Ending
from deeplocalize.traces.interface import Event
from deeplocalize.traces.schema import Kind, Phase

from .runs import FakeRun
from .test_localization import SCENARIOS


def strict(text: str) -> dict[str, Any]:
    def refuse(token: str) -> float:
        raise AssertionError(f"{token} is not JSON")

    document: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return document


def plain_values(value: Any) -> Iterator[Any]:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    yield value
    for part in parts:
        yield from plain_values(part)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_faulty_run_keeps_the_contract(name: str) -> None:
    diagnosis = diagnose(SCENARIOS[name].make().reader(), "run.h5")
    document = strict(diagnosis.to_json())
    assert document == diagnosis.to_dict()
    assert list(document) == [
        "schema", "verdict", "needs", "doubt", "first_fault", "suspects", "findings", "coverage",
        "trace", "verification",
    ]  # fmt: skip
    assert (document["schema"], document["verdict"]) == (1, "faulty")
    fault = document["first_fault"]
    assert {
        "iteration", "epoch", "batch", "phase", "layer", "kind", "tensor", "symptom", "explanation",
    } <= set(fault)  # fmt: skip
    assert fault["phase"] in set(Phase)
    assert fault["layer"] is None or set(fault["layer"]) == {"index", "name", "class"}
    for rank, suspect in enumerate(document["suspects"], 1):
        assert set(suspect) == {
            "rank", "target", "layer", "cause", "confidence", "symptoms", "evidence", "fix",
            "trial",
        }  # fmt: skip
        assert suspect["rank"] == rank
        assert suspect["cause"] in set(Cause)
        assert suspect["target"] in set(Target)
    types = {type(value) for value in plain_values(diagnosis.to_dict())}
    assert types <= {dict, list, str, int, float, bool, type(None)}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_diagnosis_survives_copies_and_pickles(name: str) -> None:
    diagnosis = diagnose(SCENARIOS[name].make().reader(), "run.h5")
    copies = [copy.copy(diagnosis), copy.deepcopy(diagnosis), pickle.loads(pickle.dumps(diagnosis))]
    for one in copies:
        assert one == diagnosis
        assert one.to_json() == diagnosis.to_json()
        for before, after in zip(diagnosis.suspects, one.suspects, strict=True):
            assert [fact_of(s) for s in after.evidence] == [fact_of(s) for s in before.evidence]


def test_numbers_that_are_not_finite_become_null() -> None:
    run = FakeRun().put(slice(15, None), Kind.OUTPUT, "fc1", n_zero_units=8, rms=np.nan)
    run.put(slice(None), Kind.OUTPUT, "fc1", mean=np.inf)
    strict(diagnose(run.reader()).to_json())


def test_a_healthy_run_has_no_fault_and_needs_nothing() -> None:
    document = diagnose(FakeRun().reader()).to_dict()
    assert (document["verdict"], document["first_fault"], document["needs"]) == (
        "healthy",
        None,
        "",
    )
    assert document["suspects"] == document["findings"] == []


@pytest.mark.parametrize("n_iterations", [0, 1, 5, 19])
def test_a_run_that_is_too_short_has_no_verdict_but_says_what_it_would_take(
    n_iterations: int,
) -> None:
    diagnosis = diagnose(FakeRun(n_iterations).reader())
    assert diagnosis.verdict is Verdict.UNKNOWN
    assert "at least" in diagnosis.needs


def test_even_one_iteration_shows_what_is_not_finite() -> None:
    run = FakeRun(1).put(0, Kind.LOSS, n_nan=1)
    assert diagnose(run.reader()).verdict is Verdict.FAULTY


def test_a_run_without_an_end_is_told_as_one() -> None:
    run = FakeRun()
    run.events = []
    diagnosis = diagnose(run.reader())
    assert diagnosis.run.ending is Ending.NOT_RECORDED
    assert diagnosis.verdict is Verdict.HEALTHY


def test_a_second_run_in_the_same_trace_that_did_not_end_counts() -> None:
    run = FakeRun()
    run.events += [Event("begin")]
    assert diagnose(run.reader()).run.ending is Ending.NOT_RECORDED


def test_a_run_that_stopped_with_an_exception_is_not_called_healthy() -> None:
    run = FakeRun()
    run.events = [Event("end", "ValueError: shapes differ", details={"status": "exception"})]
    diagnosis = diagnose(run.reader())
    assert diagnosis.verdict is Verdict.UNKNOWN
    assert diagnosis.run.ending_message == "ValueError: shapes differ"


def test_a_trace_that_has_lost_its_last_iterations_is_told_as_one() -> None:
    run = FakeRun(100)
    run.events = [Event("end", "", 99, details={"status": "completed"})]
    assert diagnose(run.reader()).run.is_whole
    run.events = [Event("end", "", 130, details={"status": "completed"})]
    diagnosis = diagnose(run.reader())
    assert diagnosis.verdict is Verdict.UNKNOWN
    assert diagnosis.needs.startswith("a recording of the whole run")
    assert "recorded are only its iterations to iteration 99" in ending(diagnosis.run)


def test_coverage_says_which_rules_could_not_judge_and_what_they_need() -> None:
    unjudged = {entry.rule: entry.needs for entry in diagnose(FakeRun().reader()).coverage.unjudged}
    assert unjudged["loss does not decrease"] == "100 iterations with a loss"
    assert unjudged["saturated tanh"] == "recorded output of layers with tanh"


def test_what_a_rule_would_need_of_iterations_is_said() -> None:
    run = FakeRun()
    for i, series in enumerate(run.header.series):
        if series.kind is Kind.WEIGHT_UPDATE:
            run.statistics["rms"][:, i] = 0.0
    coverage = diagnose(run.reader()).coverage
    needs = "20 iterations in which some weight changes, not 0"
    assert coverage.unjudged_by_need[needs] == ("weight does not change",)
