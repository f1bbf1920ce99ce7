"""One absurd value among the inputs or the targets, and what it is not to be taken for."""

from dataclasses import replace

import numpy as np
import pytest

from deeplocalize.analyzer.causes import Cause, Suspect, Target
from deeplocalize.analyzer.diagnosis import Diagnosis, Verdict, diagnose
from deeplocalize.analyzer.outlier import find_outlier
from deeplocalize.traces.schema import Kind

from .runs import HEADER, LAYERS, FakeRun

AT = 22


def overflowing(run: FakeRun) -> FakeRun:
    """The run, whose second layer overflows in one iteration."""
    return run.put(AT, Kind.OUTPUT, "mid", n_posinf=5).breaks(AT, Kind.OUTPUT, "mid")


def fed(value: float, at: int = AT, kind: Kind = Kind.INPUT, n_iterations: int = 60) -> FakeRun:
    """A run of inputs up to about 2, but for one."""
    run = FakeRun(n_iterations)
    return run.put(at, kind, max=value, rms=value / 11, mean_abs=value / 128)


def diagnosed(run: FakeRun) -> Diagnosis:
    return diagnose(run.reader())


def blamed(run: FakeRun) -> list[Suspect]:
    return [s for s in diagnosed(run).suspects if s.cause is Cause.INPUT_VALUES]


@pytest.mark.parametrize("at", [AT - 1, AT])
@pytest.mark.parametrize("kind", [Kind.INPUT, Kind.LABEL])
def test_a_value_out_of_line_is_suspected_first_of_what_breaks_at_once(kind: Kind, at: int) -> None:
    diagnosis = diagnosed(overflowing(fed(1e36, at, kind)))
    first = diagnosis.suspects[0]
    assert (first.cause, first.target, first.layer) == (Cause.INPUT_VALUES, Target.DATA, None)
    (sentence,) = first.evidence
    assert sentence.startswith(f'the {kind} "')
    assert f"reaches 1e+36 in iteration {at}, " in sentence
    assert "the median of the 54 other iterations around it (rms 9.09e+34 instead of " in sentence
    assert diagnosis.first_fault is not None
    assert diagnosis.first_fault.chain[0].sentence in sentence


def test_growing_weights_do_not_hide_the_value_that_made_them_grow() -> None:
    run = fed(1e12, AT - 6)
    run.statistics["rms"][AT - 5 :, run.index(Kind.WEIGHT, "fc1", "kernel")] *= 1e6
    assert Cause.LEARNING_RATE in {s.cause for s in diagnosed(overflowing(run)).suspects}
    assert diagnosed(overflowing(run)).suspects[0].cause is Cause.INPUT_VALUES


def test_a_value_that_changed_nothing_is_not_suspected_later() -> None:
    assert not blamed(overflowing(fed(1e12, AT - 6)))


def test_what_a_run_has_survived_is_less_suspicious() -> None:
    run = fed(1e12).put(AT - 10, Kind.INPUT, max=7e11)
    (suspect,) = blamed(overflowing(run))
    assert diagnosed(overflowing(run)).suspects[0].cause is Cause.NUMERICAL_INSTABILITY
    assert suspect.confidence < 0.5


def test_units_that_die_of_the_value_are_its_doing() -> None:
    run = fed(1e6).zero(slice(AT + 1, None), Kind.OUTPUT, "fc1")
    assert diagnosed(run).suspects[0].cause is Cause.INPUT_VALUES


def test_a_weight_that_never_moves_is_not_its_doing() -> None:
    run = fed(1e6, at=0).zero(slice(None), Kind.WEIGHT_UPDATE, "fc1", "kernel")
    assert diagnosed(run).verdict is Verdict.FAULTY
    assert not blamed(run)


def test_what_is_fed_after_the_fault_is_not_suspected() -> None:
    assert not blamed(overflowing(fed(1e36, AT + 1)))


def test_heavy_tails_are_not_out_of_line() -> None:
    draw = np.random.default_rng(0)
    for _ in range(20):
        run = FakeRun()
        values = np.abs(draw.standard_cauchy((60, 128)))
        run.put(slice(None), Kind.INPUT, min=0.0)
        run.statistics["max"][:, run.index(Kind.INPUT)] = values.max(axis=1)
        run.statistics["rms"][:, run.index(Kind.INPUT)] = np.sqrt((values**2).mean(axis=1))
        assert not blamed(overflowing(run))


def test_a_run_that_goes_well_is_healthy_whatever_it_was_fed() -> None:
    assert diagnosed(fed(1e6)).verdict is Verdict.HEALTHY


@pytest.mark.parametrize(("value", "is_found"), [(1e20, True), (1e18, False)])
def test_a_lone_value_whose_square_overflows_needs_no_other_batches(
    value: float, is_found: bool
) -> None:
    found = find_outlier(fed(value, at=0, n_iterations=1).reader(), 0)
    assert (found is not None) is is_found
    assert found is None or "the square of that is beyond the range" in str(found)


@pytest.mark.parametrize(("value", "is_found"), [(1e20, True), (1e18, False)])
def test_one_other_batch_is_enough_for_a_value_whose_square_overflows(
    value: float, is_found: bool
) -> None:
    run = fed(value, at=1, n_iterations=2).put(1, Kind.INPUT, mean_abs=value / 32)
    found = find_outlier(run.reader(), 1)
    assert (found is not None) is is_found
    assert found is None or "as in the other iteration that was recorded" in str(found)


@pytest.mark.parametrize("others", [0.0, 2.0, 1e20])
def test_a_whole_batch_of_large_values_beside_another_is_no_lone_value(others: float) -> None:
    run = FakeRun(2).put(0, Kind.INPUT, max=others, min=0.0, mean_abs=others / 3)
    run.put(1, Kind.INPUT, max=3e24, min=-2e24, mean_abs=1e24, rms=1.2e24)
    assert find_outlier(run.reader(), 1) is None
    run.put(1, Kind.INPUT, max=3e24, mean_abs=3e24 / 32)
    assert (find_outlier(run.reader(), 1) is not None) is (others < 1e20)


def test_batches_further_away_are_compared_with_where_a_budget_left_none_around() -> None:
    run = fed(1e6, at=1, n_iterations=300).thin(lambda i: i == 1 or i > 200)
    found = find_outlier(run.reader(), 1)
    assert found is not None and found.n_others > 32


def test_a_whole_batch_of_large_values_is_a_matter_of_scale() -> None:
    run = FakeRun(2).put(slice(None), Kind.INPUT, max=1e25, min=-1e25, mean_abs=3e24, rms=4e24)
    assert find_outlier(run.reader(), 0) is None


def test_tokens_may_be_any_number() -> None:
    layers = (replace(LAYERS[0], class_name="Embedding"), *LAYERS[1:])
    series = tuple(
        replace(one, dtype="int32") if one.kind is Kind.INPUT else one for one in HEADER.series
    )
    run = fed(1e6)
    run.header = replace(HEADER, layers=layers, series=series)
    assert not blamed(overflowing(run))
