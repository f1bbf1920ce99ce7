"""Skill, against scikit-learn's measures."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, r2_score

from deeplocalize.analyzer.whatif.answers import Measure, Yardstick, skill, yardstick_of

RANDOM = np.random.default_rng(0)
CLASSES = RANDOM.integers(0, 4, 200)
ONE_HOT = np.eye(4)[CLASSES]
SCORES = RANDOM.random((200, 4)) + 0.5 * ONE_HOT


def of(
    y: object, outputs: object, *losses: str, is_index: bool = False, is_logit: bool = False
) -> float:
    labels = np.asarray(y)
    return skill(yardstick_of(labels, losses), labels, np.asarray(outputs), is_index, is_logit)


def test_classes_are_judged_by_balanced_accuracy_whatever_their_encoding() -> None:
    expected = balanced_accuracy_score(CLASSES, SCORES.argmax(axis=1), adjusted=True)
    assert 0.2 < expected < 0.9
    assert of(ONE_HOT, SCORES) == pytest.approx(expected)
    assert of(CLASSES, SCORES, "sparse_categorical_crossentropy") == pytest.approx(expected)
    shifted = CLASSES[:, None] + 1
    loss = "sparse_categorical_crossentropy"
    assert of(shifted, SCORES, loss, is_index=True) == pytest.approx(expected)


def test_classes_of_a_sequence_are_judged_step_by_step() -> None:
    y, scores = CLASSES.reshape(20, 10), SCORES.reshape(20, 10, 4)
    expected = balanced_accuracy_score(CLASSES, SCORES.argmax(axis=1), adjusted=True)
    assert of(y, scores, "sparse_categorical_crossentropy") == pytest.approx(expected)


@pytest.mark.parametrize("labels", [(0, 1), (-1, 1)])
def test_a_single_output_is_taken_for_the_nearest_class(labels: tuple[int, int]) -> None:
    y = np.where(CLASSES > 1, labels[1], labels[0])
    outputs = y + RANDOM.normal(0, 0.6, 200)
    answers = outputs > np.mean(labels)
    expected = balanced_accuracy_score(y == labels[1], answers, adjusted=True)
    assert of(y, outputs[:, None]) == pytest.approx(expected)


def test_logits_are_cut_at_zero() -> None:
    y = (CLASSES > 1).astype(int)
    logits = np.where(y, 0.2, -0.2)
    assert of(y, logits, is_logit=True) == 1.0
    assert of(y, logits) == 0.0


def test_labels_that_do_not_exclude_each_other_are_judged_one_by_one() -> None:
    y = RANDOM.integers(0, 2, (200, 3))
    outputs = np.clip(y + RANDOM.normal(0, 0.5, y.shape), 0, 1)
    expected = np.mean(
        [balanced_accuracy_score(y[:, k], outputs[:, k] > 0.5, adjusted=True) for k in range(3)]
    )
    assert yardstick_of(y, ()).measure is Measure.LABELS
    assert of(y, outputs) == pytest.approx(expected)


def test_values_are_judged_by_the_variance_explained() -> None:
    y = RANDOM.normal(size=(200, 2)) * [1.0, 30.0]
    outputs = y + RANDOM.normal(size=y.shape) * [0.5, 5.0]
    assert of(y, outputs) == pytest.approx(r2_score(y, outputs, multioutput="variance_weighted"))


@pytest.mark.parametrize(
    ("y", "outputs"),
    [
        (CLASSES, np.tile([0.1, 0.2, 0.9, 0.3], (200, 1))),
        (CLASSES > 1, np.ones((200, 1))),
        (RANDOM.normal(size=200), np.full((200, 1), 17.0)),
        (RANDOM.normal(size=200), np.zeros((100, 1))),
        (RANDOM.normal(size=200), np.full((200, 1), np.nan)),
    ],
)
def test_answers_that_need_no_learning_have_no_skill(y: object, outputs: object) -> None:
    assert of(y, outputs, "sparse_categorical_crossentropy") == 0.0


def test_integers_are_values_unless_a_loss_says_otherwise() -> None:
    assert yardstick_of(CLASSES, ("mean_squared_error",)) == Yardstick(Measure.VALUES)
    chosen = yardstick_of(CLASSES, ("mean_squared_error", "sparse_categorical_crossentropy"))
    assert chosen == Yardstick(Measure.CLASSES, (0.0, 1.0, 2.0, 3.0))
