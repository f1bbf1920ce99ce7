"""The protocol of the what-if proof, with trainings that are made up; Keras is not needed."""

import sys
from pathlib import Path

import pytest

from deeplocalize.analyzer import analyze, cli, verify
from deeplocalize.analyzer.reports import PLAIN, REPORTS
from deeplocalize.analyzer.trial import Status
from deeplocalize.analyzer.whatif.obstacle import ObstacleError
from deeplocalize.analyzer.whatif.recipe import Setup
from deeplocalize.traces.trace import open_trace

from .replays import (
    DATA,
    LONGER,
    RATE,
    diagnosed,
    faulty_run,
    replayable,
    with_trainer,
    write,
)
from .runs import FakeRun
from .test_contract import VALIDATOR


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    return write(tmp_path / "faulty.h5", faulty_run())


def only_when_longer(setup: Setup, seed: int) -> float:
    return 1.0 if setup.n_steps > 400 else 0.2


def test_the_fix_that_makes_the_replay_learn_sets_a_wrong_first_guess_right(
    faulty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_trainer(monkeypatch, only_when_longer)
    verified = verify(faulty, diagnosed(faulty, RATE, DATA, LONGER))
    assert [s.cause for s in verified.suspects] == [LONGER.cause, DATA.cause, RATE.cause]
    statuses = [s.trial.status for s in verified.suspects if s.trial]
    assert statuses == [Status.VERIFIED, Status.NOT_TRIED, Status.REFUTED]
    found = verified.verification
    assert found is not None and found.baseline is not None
    assert (found.n_samples, found.n_judged, found.is_held_back) == (160, 40, True)
    assert found.baseline.n == 3


def test_advice_that_was_verified_is_the_change_that_was(
    faulty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_trainer(monkeypatch, only_when_longer)
    longer, data, rate = verify(faulty, diagnosed(faulty, RATE, DATA, LONGER)).suspects
    assert longer.trial is not None and longer.trial.change
    assert longer.fix.lower() == longer.trial.change.lower()
    assert (data.fix, rate.fix) == (DATA.fix, RATE.fix)


def test_what_was_found_is_part_of_every_report(
    faulty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_trainer(monkeypatch, only_when_longer)
    verified = verify(faulty, diagnosed(faulty, RATE, DATA, LONGER))
    VALIDATOR.validate(verified.to_dict())
    trials = [one["trial"]["status"] for one in verified.to_dict()["suspects"]]
    assert trials == ["verified", "not_tried", "refuted"]
    with open_trace(faulty) as trace:
        texts = [
            REPORTS[form](verified, trace.reader, PLAIN) for form in ("text", "markdown", "html")
        ]
    for text in (*texts, verified._repr_html_()):
        words = " ".join(text.split())
        assert "with this change the replay learns" in words
        assert "this change alone does not help" in words
        assert "3 replays of 400 steps" in words


def test_the_better_form_of_a_fix_counts(faulty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def learns(setup: Setup, seed: int) -> float:
        return 1.0 if setup.optimizer["config"]["learning_rate"] < 5e-5 else 0.2

    with_trainer(monkeypatch, learns)
    (verified,) = verify(faulty, diagnosed(faulty, RATE)).suspects
    assert verified.trial is not None
    assert verified.trial.status is Status.VERIFIED
    assert verified.trial.change == "learning rate 0.001 → 1e-05"


def test_where_nothing_helps_that_is_said(faulty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_trainer(monkeypatch, lambda setup, seed: 0.2)
    found = verify(faulty, diagnosed(faulty, RATE)).verification
    assert found is not None and "No fix alone" in found.conclusion


def test_a_replay_that_learns_as_it_is_refutes_nothing(
    faulty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_trainer(monkeypatch, lambda setup, seed: 1.0)
    verified = verify(faulty, diagnosed(faulty, RATE))
    assert verified.suspects[0].trial is not None
    assert verified.suspects[0].trial.status is Status.INCONCLUSIVE
    assert verified.verification is not None
    assert "do not show the fault" in verified.verification.conclusion


def test_a_healthy_run_leaves_nothing_to_verify(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_trainer(monkeypatch, lambda setup, seed: 1.0)
    path = write(tmp_path / "healthy.h5", FakeRun(header=replayable()))
    found = verify(path, analyze(path)).verification
    assert found is not None
    assert found.conclusion == (
        "There was nothing to verify: no suspects. The unchanged replay learns."
    )


def test_the_same_seed_gives_the_same_outcome(
    faulty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_trainer(monkeypatch, lambda setup, seed: 0.5)
    diagnosis = diagnosed(faulty, RATE)
    assert verify(faulty, diagnosis, seed=3) == verify(faulty, diagnosis, seed=3)
    assert verify(faulty, diagnosis, seed=3) != verify(faulty, diagnosis, seed=40)


def test_suspects_whose_turn_does_not_come_are_not_tried(
    faulty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def learns(setup: Setup, seed: int) -> float:
        if setup.n_steps > 400:
            raise TimeoutError
        return 0.2

    with_trainer(monkeypatch, learns)
    (one,) = verify(faulty, diagnosed(faulty, LONGER)).suspects
    assert one.trial is not None
    assert str(one.trial) == "not tried: the time was up"


def test_a_fix_that_keras_refuses_is_not_tried(
    faulty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def learns(setup: Setup, seed: int) -> float:
        if setup.n_steps > 400:
            raise ObstacleError("Keras refuses it (ValueError: shapes)")
        return 0.2

    with_trainer(monkeypatch, learns)
    (one,) = verify(faulty, diagnosed(faulty, LONGER)).suspects
    assert one.trial is not None and one.trial.status is Status.NOT_TRIED
    assert "ValueError: shapes" in one.trial.reason


def test_progress_counts_every_replay(faulty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_trainer(monkeypatch, lambda setup, seed: 0.2)
    shown: list[tuple[int, int]] = []
    verify(faulty, diagnosed(faulty, RATE, LONGER), progress=lambda n, of: shown.append((n, of)))
    assert shown == [(i, 12) for i in range(1, 13)]


def test_without_keras_the_report_says_so_and_the_exit_code_stays(
    faulty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    monkeypatch.delitem(sys.modules, "deeplocalize.analyzer.whatif.keras_training", raising=False)
    expected = cli.main([str(faulty)])
    capsys.readouterr()
    assert cli.main([str(faulty), "--verify"]) == expected
    output = capsys.readouterr()
    assert "Keras is not installed here" in " ".join(output.out.split())
    assert output.err == ""
