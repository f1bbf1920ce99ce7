import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from deeplocalize.analyzer.conclusion import conclude
from deeplocalize.analyzer.diagnosis import Verdict, diagnose
from deeplocalize.analyzer.loss import loss_name
from deeplocalize.analyzer.rules import Symptom
from deeplocalize.traces.schema import Kind

from .runs import HEADER, FakeRun

RANDOM = np.random.default_rng(1)
LN3 = math.log(3)


def symptoms(loss: NDArray[np.float64], run: FakeRun | None = None) -> set[Symptom]:
    run = run or FakeRun(len(loss))
    run.iterations["loss"] = loss
    severe = [f for f in diagnose(run.reader()).findings if f.severity > 1]
    return {finding.symptom for finding in severe}


def noise(n: int) -> NDArray[np.float64]:
    return 0.2 * RANDOM.standard_normal(n)


def test_a_noisy_loss_that_stays_at_the_entropy_of_the_classes_is_found() -> None:
    assert symptoms(LN3 + noise(400)) == {Symptom.LOSS_NOT_DECREASING}


def test_a_loss_that_jumps_down_to_what_needs_no_learning_is_not_said_to_stay() -> None:
    loss = LN3 + noise(400)
    loss[:3] = 1e8
    run = FakeRun(400)
    run.iterations["loss"] = loss
    (finding,) = [f for f in diagnose(run.reader()).findings if f.severity > 1]
    assert finding.statement.startswith("ends no better than always predicting the same")
    assert finding.peak == pytest.approx(1.0, abs=0.05)


def test_a_noisy_loss_that_falls_is_healthy() -> None:
    assert symptoms(LN3 * np.exp(-np.arange(400) / 200) + noise(400)) == set()


def test_a_flat_loss_below_the_trivial_level_is_a_fit() -> None:
    assert symptoms(0.05 + 0.1 * noise(400)) == set()


def test_a_run_that_is_too_short_is_not_judged() -> None:
    assert symptoms(LN3 + noise(90)) == set()


@pytest.mark.parametrize("n", [24, 60, 99])
def test_a_short_run_that_came_to_nothing_is_not_called_healthy(n: int) -> None:
    run = FakeRun(n)
    run.iterations["loss"] = LN3 + 0.1 * noise(n)
    run.put(slice(None), Kind.METRIC, tensor="accuracy", mean=0.34)
    diagnosis = diagnose(run.reader())
    assert diagnosis.verdict is Verdict.UNKNOWN
    assert diagnosis.needs.startswith(
        f"a longer run: this one shows no fault, but ended after {n} "
    )
    assert "not judged in less than 100" in diagnosis.needs


@pytest.mark.parametrize(("loss", "accuracy", "said"), [(1.0, 0.34, "hardly better than"),
                                                        (3.0, 0.1, "worse than")])  # fmt: skip
def test_a_run_that_went_wrong_is_not_called_hardly_better(
    loss: float, accuracy: float, said: str
) -> None:
    run = FakeRun(400)
    run.iterations["loss"] = loss * LN3 + 0.1 * noise(400)
    run.put(slice(None), Kind.METRIC, tensor="accuracy", mean=accuracy)
    assert f"this one is {said} always answering the same" in diagnose(run.reader()).needs


def test_a_short_run_that_learned_is_healthy_without_a_doubt() -> None:
    diagnosis = diagnose(FakeRun(60).reader())
    assert (diagnosis.verdict, diagnosis.doubt) == (Verdict.HEALTHY, "")


def flat_at_unknown_level(n: int) -> FakeRun:
    run = FakeRun(n, header=replace(HEADER, loss="my_own_loss", data=()))
    run.iterations["loss"] = 2.0 + 0.1 * noise(n)
    return run


@pytest.mark.parametrize("n", [60, 400])
def test_where_nobody_can_tell_whether_a_run_learned_it_is_said(n: int) -> None:
    run = flat_at_unknown_level(n)
    assert "learned was not judged: its loss has hardly moved" in conclude(diagnose(run.reader()))
    run.iterations["loss"][:] = np.nan
    assert conclude(diagnose(run.reader())).endswith("not judged: no loss was recorded.")


def test_a_loss_that_moved_leaves_no_doubt() -> None:
    run = flat_at_unknown_level(60)
    run.iterations["loss"] *= np.linspace(1, 0.5, 60)
    diagnosis = diagnose(run.reader())
    assert (diagnosis.verdict, diagnosis.doubt) == (Verdict.HEALTHY, "")


def test_a_loss_that_grows_a_thousandfold_diverges() -> None:
    loss = np.exp(np.arange(100) / 5.0)
    assert symptoms(loss) == {Symptom.LOSS_NOT_DECREASING, Symptom.LOSS_DIVERGING}


def test_a_flat_loss_of_unknown_kind_is_only_a_notice() -> None:
    run = FakeRun(400, header=replace(HEADER, loss="my_adversarial_loss"))
    run.iterations["loss"] = LN3 + noise(400)
    diagnosis = diagnose(run.reader())
    assert diagnosis.verdict is Verdict.HEALTHY
    assert [f.symptom for f in diagnosis.findings] == [Symptom.LOSS_NOT_DECREASING]


def test_an_accuracy_at_the_base_rate_is_noticed() -> None:
    run = FakeRun(200).put(slice(None), Kind.METRIC, tensor="accuracy", mean=0.34)
    findings = diagnose(run.reader()).findings
    assert [f.symptom for f in findings] == [Symptom.ACCURACY_NOT_CHANGING]


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        ("mse", "mse"),
        ("CategoricalCrossentropy", "categorical_crossentropy"),
        ({"class_name": "MeanSquaredError", "config": {}}, "mean_squared_error"),
        ({"class_name": "function", "config": "mae"}, "mae"),
        ({"out": "mse"}, "mse"),
        (["binary_crossentropy"], "binary_crossentropy"),
        ({"a": "mse", "b": "mae"}, None),
        (None, None),
    ],
)
def test_losses_are_named_alike_however_they_are_written(loss: object, name: str | None) -> None:
    assert loss_name(loss) == name
