"""The pure parts of the benchmark of faults: what is right, what is held back, what mutants are."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.faults import known, mutations, zoo
from benchmarks.faults.distortions import DISTORTIONS, distorted
from benchmarks.faults.judge import HARM, LEAST_SKILL, Guess, Opinion, is_right, rank, trials
from benchmarks.faults.mutations.operators import OPERATORS
from benchmarks.faults.page import summary
from benchmarks.faults.program import Answer, Case, Goal, Group, Part, Program, part_of
from benchmarks.faults.tasks import TASKS, Data, load
from benchmarks.faults.train import Training, skill
from deeplocalize.analyzer.causes import Cause

PROGRAM = Program(({"class": "Dense", "units": 1},), "mse", {}, {"name": "sine", "n": 8})
ANSWERS = (Answer("output_activation", frozenset({2})), Answer("learning_rate"))
SEEDED = list(mutations.cases())
HEALTHY = list(zoo.cases())


def trained(case: Case, skill: float) -> tuple[Case, Training]:
    return case, Training("run.h5", skill, 100, 1.0)


# ---- the judge ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "layer", "is_so"),
    [
        ("output_activation", 2, True),
        ("output_activation", 1, False),
        ("output_activation", None, False),
        ("learning_rate", None, True),
        ("learning_rate", 1, True),
        ("loss_function", None, False),
    ],
)
def test_a_guess_is_right_by_cause_and_by_layer_where_the_cause_has_one(
    cause: str, layer: int | None, is_so: bool
) -> None:
    assert is_right(Guess(cause, layer), ANSWERS) is is_so


def test_the_rank_is_the_place_of_the_first_right_guess_of_an_alarm() -> None:
    guesses = (Guess("loss_function", None), Guess("learning_rate", None))
    assert rank(Opinion("faulty", guesses), ANSWERS) == 2
    assert rank(Opinion("healthy", guesses), ANSWERS) is None
    assert rank(Opinion("faulty", guesses[:1]), ANSWERS) is None


def test_a_mutant_counts_only_if_it_did_harm() -> None:
    parent = Case("a/0", Group.HEALTHY, PROGRAM)
    mutant = Case("break/a/0/0", Group.SEEDED, PROGRAM, ANSWERS, parent="a/0")
    for loss, is_apart in ((HARM + 0.01, False), (HARM - 0.01, True)):
        cases = {"a/0": trained(parent, 0.9), "m": trained(mutant, 0.9 * (1 - loss))}
        assert bool(trials(cases)[1].apart) is is_apart


def test_a_healthy_program_counts_only_if_it_trains() -> None:
    case = Case("a/0", Group.HEALTHY, PROGRAM)
    assert trials({"a": trained(case, LEAST_SKILL - 0.01)})[0].apart
    assert not trials({"a": trained(case, LEAST_SKILL)})[0].apart


def test_a_doubtful_known_fault_counts_only_if_its_repair_helps() -> None:
    faulty = Case("k/faulty", Group.KNOWN, PROGRAM, ANSWERS, parent="k", is_certain=False)
    repaired = Case("k/repaired", Group.REPAIRED, PROGRAM, parent="k")
    for after, is_apart in ((0.5, False), (0.35, True)):
        cases = {"k/faulty": trained(faulty, 0.3), "k/repaired": trained(repaired, after)}
        assert bool(trials(cases)[0].apart) is is_apart


def test_the_tables_count_alarms_and_right_guesses() -> None:
    # By these names they are in the part for development.
    cases = [Case(name, Group.SEEDED, PROGRAM, ANSWERS) for name in "bdeg"]
    run = trials({case.name: trained(case, 0.0) for case in cases})
    said = dict.fromkeys((case.name for case in cases), Opinion("healthy"))
    said["b"] = Opinion("faulty", (Guess("learning_rate", None),))
    text = summary(run, {"deeplocalize": said})
    (row,) = (line for line in text.splitlines() if "seeded, development" in line)
    cells = [cell.strip() for cell in row.split("|")[3:-1]]
    assert cells == ["4", "1 (25%)", "1 (25%)", "1 (25%)", "1 (25%)"]


# ---- the split ----------------------------------------------------------------------------------


def test_the_split_never_changes() -> None:
    held_back = [name for name in "abcdefgh" if part_of(name) is Part.HELD_BACK]
    assert held_back == ["a", "c", "f"]


def test_both_parts_hold_about_half_and_names_are_unique() -> None:
    for cases in (HEALTHY, SEEDED):
        counts = Counter(case.part for case in cases)
        assert set(counts) == {Part.DEVELOPMENT, Part.HELD_BACK}
        assert max(counts.values()) < 0.65 * len(cases)
    names = [case.name for case in (*HEALTHY, *SEEDED, *known.cases())]
    assert len(set(names)) == len(names)


# ---- the collections ----------------------------------------------------------------------------


def test_there_are_enough_of_each() -> None:
    assert len(zoo.PROGRAMS) >= 40
    assert len(SEEDED) >= 150
    assert len({case.parent for case in known.cases()}) == 40


def test_every_answer_is_a_cause_of_the_contract_in_a_layer_that_exists() -> None:
    for case in (*SEEDED, *known.cases()):
        assert case.answers or case.group in (Group.REPAIRED, Group.KNOWN)
        for answer in case.answers:
            assert answer.cause in set(Cause)
            for layer in answer.layers or ():
                assert 0 <= layer < len(case.program.layers)


def test_a_mutant_differs_from_its_parent_in_what_its_operator_changes() -> None:
    parents = {case.name: case.program for case in HEALTHY}
    for case in SEEDED:
        parent = parents[case.parent]
        assert case.program.fingerprint != parent.fingerprint, case.name
        assert case.program.seed == parent.seed
        same = replace(
            case.program,
            layers=parent.layers, loss=parent.loss, optimizer=parent.optimizer,
            distortions=parent.distortions, n_epochs=parent.n_epochs, batch_size=parent.batch_size,
        )  # fmt: skip
        assert same == parent, case.name


def mutant(name: str) -> tuple[Program, Program]:
    """The first mutant of an operator, and its parent."""
    case = next(case for case in SEEDED if case.operator == name)
    return case.program, next(c.program for c in HEALTHY if c.name == case.parent)


def test_operators_do_what_their_names_say() -> None:
    changed, _ = mutant("one_unit_softmax")
    assert (changed.layers[-1]["units"], changed.layers[-1]["activation"]) == (1, "softmax")
    changed, parent = mutant("learning_rate_too_high")
    assert changed.optimizer["learning_rate"] == 300 * parent.optimizer["learning_rate"]
    changed, _ = mutant("no_nonlinearity")
    assert {layer.get("activation") for layer in changed.layers[:-1]} == {"linear"}
    changed, parent = mutant("dropout_after_output")
    assert changed.layers[:-1] == parent.layers
    assert changed.layers[-1] == {"class": "Dropout", "rate": 0.5}
    changed, parent = mutant("fewer_units_than_classes")
    assert changed.layers[-1]["units"] < parent.layers[-1]["units"]
    changed, _ = mutant("no_hidden_layer")
    assert len(changed.layers) == 1
    changed, _ = mutant("huge_targets")
    assert changed.distortions == (("multiply_y", 1e5),)


def test_every_operator_has_mutants() -> None:
    assert {case.operator for case in SEEDED} == {operator.name for operator in OPERATORS}


def test_descriptions_survive_being_written() -> None:
    for case in (*HEALTHY, *SEEDED, *known.cases()):
        assert json.loads(json.dumps(case.program.layers)) is not None
        assert len(case.program.fingerprint) == 16


# ---- data ---------------------------------------------------------------------------------------


def small(name: str) -> Data:
    task = next(p.task for p in zoo.PROGRAMS.values() if p.task["name"] == name)
    return load(task)


@pytest.mark.parametrize("name", sorted({p.task["name"] for p in zoo.PROGRAMS.values()}))
def test_data_are_finite_and_the_same_each_time(name: str) -> None:
    one, other = small(name), small(name)
    assert name in TASKS
    assert np.isfinite(one.x).all() and np.isfinite(one.y).all()
    np.testing.assert_array_equal(one.x, other.x)
    np.testing.assert_array_equal(one.y, other.y)
    assert len(one.x) == len(one.y) == len(one.truth)


def test_distortions_change_one_thing_each() -> None:
    data = load({"name": "moons", "n": 40})
    arguments = {"spoil_x": "nan", "spoil_y": "inf", "shuffle_y": 3, "signed_y": None}
    for name in DISTORTIONS:
        changed = distorted(data, [(name, arguments.get(name, 7.0))])
        is_x, is_y = (not np.array_equal(a, b, equal_nan=True) for a, b in (
            (changed.x, data.x), (changed.y, data.y)
        ))  # fmt: skip
        assert is_x is name.endswith(("_x", "feature")), name
        assert is_y is name.endswith("_y"), name
        np.testing.assert_array_equal(changed.truth, data.truth)


def test_shuffled_labels_are_the_same_labels() -> None:
    data = load({"name": "moons", "n": 40})
    shuffled = distorted(data, [("shuffle_y", 3)])
    np.testing.assert_array_equal(np.sort(shuffled.y, axis=0), np.sort(data.y, axis=0))


# ---- skill --------------------------------------------------------------------------------------


def values(truth: list[float]) -> Data:
    y = np.array(truth, np.float32)[:, None]
    return Data(y, y, y, Goal.VALUES)


def test_skill_is_1_for_perfect_answers_0_for_their_mean_and_never_less() -> None:
    data = values([1.0, 2.0, 3.0])
    assert skill(np.array([[1.0], [2.0], [3.0]]), data) == 1.0
    assert skill(np.full((3, 1), 2.0), data) == 0.0
    assert skill(np.full((3, 1), 99.0), data) == 0.0
    assert skill(np.full((3, 1), np.nan), data) == 0.0


def test_skill_of_classes_is_what_goes_beyond_the_most_frequent_one() -> None:
    truth = np.array([0, 0, 0, 1])
    data = Data(truth, truth, truth, Goal.CLASSES)
    assert skill(np.eye(2)[truth], data) == 1.0
    assert skill(np.eye(2)[np.zeros(4, int)], data) == 0.0
    assert skill(np.array([[0.1], [0.2], [0.3], [0.9]]), data) == 1.0
