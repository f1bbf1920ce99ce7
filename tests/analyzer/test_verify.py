"""The protocol of the what-if proof, with trainings that are made up; Keras is not needed."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deeplocalize.analyzer import analyze, cli, verify
from deeplocalize.analyzer.causes import Cause, Suspect, Target
from deeplocalize.analyzer.diagnosis import Diagnosis
from deeplocalize.analyzer.reports import PLAIN, REPORTS
from deeplocalize.analyzer.rules.rule import Symptom
from deeplocalize.analyzer.trial import Status, Trial, spread_of
from deeplocalize.analyzer.whatif import protocol
from deeplocalize.analyzer.whatif.answers import yardstick_of
from deeplocalize.analyzer.whatif.judgement import judge, ranked
from deeplocalize.analyzer.whatif.obstacle import ObstacleError
from deeplocalize.analyzer.whatif.preparation import task_of
from deeplocalize.analyzer.whatif.recipe import Recipe, Samples, Setup, recipe_of
from deeplocalize.traces.files import create_writer
from deeplocalize.traces.header import Header, Opening
from deeplocalize.traces.interface import Tensor
from deeplocalize.traces.schema import ITERATIONS, Kind
from deeplocalize.traces.table import Block, Table
from deeplocalize.traces.trace import open_trace

from .runs import HEADER, FakeRun
from .test_contract import VALIDATOR
from .test_safety import layer

CONFIG = {"layers": [layer("Dense"), layer("Dense")]}
N_BATCHES, BATCH = 5, 32
OPENING = Opening(max_batches=200, max_bytes=1 << 20)


def replayable(header: Header = HEADER) -> Header:
    return replace(header, model_config=CONFIG, opening=OPENING)


def write(
    path: Path, run: FakeRun, n_batches: int = N_BATCHES, repeats: bool = False, first: int = 0
) -> Path:
    """A trace with its first batches in full; labels say on which side of 0 the inputs lie."""
    writer = create_writer(path)
    writer.write_header(run.header)
    writer.append(numbered_from(first, run.block()))
    random = np.random.default_rng(0)
    for iteration in range(n_batches):
        if iteration == 0 or not repeats:
            x = random.normal(size=(BATCH, 4)).astype(np.float32)
            y = np.eye(3, dtype=np.float32)[(x[:, 0] > 0).astype(int) + (x[:, 1] > 0)]
        writer.append_tensors(
            [
                Tensor(first + iteration, run.index(Kind.INPUT), x),
                Tensor(first + iteration, run.index(Kind.LABEL), y),
            ]
        )
    writer.append_events(run.events)
    writer.close()
    return path


def numbered_from(first: int, block: Block) -> Block:
    """The block of a training that goes on from another."""
    columns = {name: block.iterations[name] for name in block.iterations.names}
    columns["iteration"] = columns["iteration"] + first
    return Block(Table(ITERATIONS, columns), block.recorded + first, block.statistics)


def faulty_run() -> FakeRun:
    """A run with suspects: its loss does not fall, and its updates are tiny."""
    run = FakeRun(n_iterations=400, header=replayable())
    run.iterations["loss"][:] = 1.1 + 0.01 * np.random.default_rng(0).random(400)
    for name in ("kernel", "bias"):
        for layer_name in ("fc1", "fc2"):
            run.put(slice(None), Kind.WEIGHT_UPDATE, layer_name, name, rms=1e-12, mean_abs=1e-12)
    return run


def suspect(cause: Cause, confidence: float, *symptoms: Symptom) -> Suspect:
    return Suspect(cause, Target.TRAINING, None, confidence, symptoms, ("seen",), "Mend it")


RATE = suspect(Cause.LEARNING_RATE, 0.9, Symptom.LARGE_STEPS)
SCALE = suspect(Cause.INPUT_SCALE, 0.5)
LONGER = suspect(Cause.EPOCHS_OR_BATCH_SIZE, 0.4)
DATA = suspect(Cause.DATA_OTHER, 0.3)


Learns = Callable[[Setup, int], float]
"""The share of right answers that a training comes to."""


def with_trainer(monkeypatch: pytest.MonkeyPatch, learns: Learns) -> None:
    """Put a training that is made up in the place of Keras's."""

    def train(
        setup: Setup, recipe: Recipe, training: Samples, judged: Samples, seed: int, deadline: float
    ) -> NDArray[Any]:
        truth = judged.y.argmax(axis=1)
        is_right = np.random.default_rng(seed).random(len(truth)) < learns(setup, seed)
        return np.asarray(np.eye(3)[np.where(is_right, truth, (truth + 1) % 3)])

    monkeypatch.setattr(protocol, "_trainer", lambda: train)


def diagnosed(path: Path, *suspects: Suspect) -> Diagnosis:
    return replace(analyze(path), suspects=suspects)


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


def tried(one: Suspect, status: Status, gain: float) -> Suspect:
    return replace(one, trial=Trial(status, "change", spread_of([gain]), spread_of([gain])))


def test_suspects_are_ranked_by_status_then_by_clearly_larger_gains_then_as_before() -> None:
    suspects = [
        tried(RATE, Status.REFUTED, 0.01),
        DATA,
        tried(LONGER, Status.VERIFIED, 0.41),
        tried(SCALE, Status.INCONCLUSIVE, 0.9),
        tried(SCALE, Status.VERIFIED, 0.42),
        tried(RATE, Status.VERIFIED, 0.8),
    ]
    order = [suspects.index(one) for one in ranked(suspects)]
    assert order == [5, 2, 4, 1, 3, 0]


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


@pytest.mark.parametrize(
    ("skills", "unchanged", "expected"),
    [
        ((0.9, 0.8, 0.85), (0.1, 0.0, 0.2), Status.VERIFIED),
        ((0.1, 0.05, 0.1), (0.1, 0.0, 0.1), Status.REFUTED),
        ((0.0, 0.0, 0.0), (0.5, 0.6, 0.5), Status.REFUTED),
        ((0.9, 0.1, 0.1), (0.1, 0.1, 0.1), Status.INCONCLUSIVE),
        ((0.2, 0.02, 0.2), (0.1, 0.0, 0.1), Status.INCONCLUSIVE),
        ((0.96, 0.97, 0.98), (0.95, 0.95, 0.95), Status.INCONCLUSIVE),
    ],
)
def test_a_gain_counts_if_it_stands_out_of_the_noise(
    skills: tuple[float, ...], unchanged: tuple[float, ...], expected: Status
) -> None:
    assert judge("a change", skills, unchanged).status is expected


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


def test_progress_counts_every_replay(faulty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_trainer(monkeypatch, lambda setup, seed: 0.2)
    shown: list[tuple[int, int]] = []
    verify(faulty, diagnosed(faulty, RATE, LONGER), progress=lambda n, of: shown.append((n, of)))
    assert shown == [(i, 12) for i in range(1, 13)]


# ---- what stands in the way -------------------------------------------------------------------


def obstacle_of(path: Path) -> str:
    found = verify(path, analyze(path)).verification
    assert found is not None and found.baseline is None
    return found.obstacle


OBSTACLES: dict[str, tuple[dict[str, Any], str]] = {
    "not asked for": ({"opening": None}, "replayable=True"),
    "the recorder's": ({"opening": Opening(9, 9, "it dreams")}, "cannot be repeated: it dreams"),
    "a model of its own": ({"model_class": "Mine"}, "Mine is a model class of its own"),
    "no configuration": ({"model_config": None}, "no configuration"),
    "several losses": ({"loss": ("mse", "mae")}, "no loss, or several"),
    "a lambda": ({"model_config": {"layers": [layer("Lambda")]}}, "is a Lambda"),
    "no layers at all": ({"model_config": {"layers": 7}}, "no list of layers"),
}


@pytest.mark.parametrize("name", OBSTACLES)
def test_what_stands_in_the_way_is_said_without_keras(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes, expected = OBSTACLES[name]
    monkeypatch.setattr(protocol, "_trainer", lambda: pytest.fail("Keras is not wanted"))
    run = FakeRun(header=replace(replayable(), **changes))
    assert expected in obstacle_of(write(tmp_path / "run.h5", run))


def test_a_trace_without_a_batch_in_full_cannot_be_replayed(tmp_path: Path) -> None:
    path = write(tmp_path / "run.h5", FakeRun(header=replayable()), n_batches=0)
    assert "no batch in full" in obstacle_of(path)


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


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_time_that_is_none_is_refused(
    seconds: str, faulty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(faulty), "--verify", "--verify-seconds", seconds])
    assert stopped.value.code == 2
    assert "wanted a number of seconds" in capsys.readouterr().err


@pytest.mark.parametrize(("x", "y"), [((0, 4), (0, 3)), ((5, 4), (6, 3)), ((), (1, 3))])
def test_batches_that_are_none_are_an_obstacle(
    x: tuple[int, ...], y: tuple[int, ...], tmp_path: Path
) -> None:
    run = FakeRun(header=replayable())
    writer = create_writer(tmp_path / "run.h5")
    writer.write_header(run.header)
    writer.append(run.block())
    kinds = ((Kind.INPUT, x), (Kind.LABEL, y))
    writer.append_tensors([Tensor(0, run.index(k), np.zeros(shape)) for k, shape in kinds])
    writer.close()
    assert "do not fit together" in obstacle_of(tmp_path / "run.h5")


def test_samples_that_come_twice_count_once(tmp_path: Path) -> None:
    path = write(tmp_path / "run.h5", FakeRun(header=replayable()), repeats=True)
    with open_trace(path) as trace:
        recipe = recipe_of(trace.reader)
    assert (len(recipe.samples), recipe.batch_size) == (BATCH, BATCH)


def test_a_training_that_goes_on_from_another_is_replayed_from_its_own_first_batch(
    tmp_path: Path,
) -> None:
    recipes = []
    for first in (0, 400):
        path = write(tmp_path / f"from-{first}.h5", FakeRun(header=replayable()), first=first)
        with open_trace(path) as trace:
            recipes.append(recipe_of(trace.reader))
    np.testing.assert_array_equal(recipes[0].samples.x, recipes[1].samples.x)


def test_classes_are_numbered_only_where_labels_are_classes() -> None:
    samples = Samples(np.ones((4, 2)), np.arange(4) + 0.5, None)
    setup = Setup("Sequential", CONFIG, "mse", {}, 1, indexes_classes=True)
    with pytest.raises(ObstacleError, match="not classes"):
        task_of(setup, samples, yardstick_of(samples.y, ["mse"]), seed=0)


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
