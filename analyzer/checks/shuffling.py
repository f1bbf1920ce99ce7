"""The check of the order in which classes are shown."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from deeplocalize.traces.schema import Kind
from deeplocalize.traces.table import Block

from ..ends import jointly
from ..rules.rule import Severity, Symptom
from .check import Check, Facts, Sighting

# A batch of so many samples that all have one label, though others are as frequent, is no chance.
MIN_SAMPLES = 8

# Share of the batches that must have one label only.
MIN_SHARE = 0.5

# Iterations of a kind that a mean is taken of, at least.
MIN_CHANGES = 2
MIN_SETTLED = 4


def _sorted(facts: Facts, threshold: float) -> Iterator[Sighting]:
    target, label = facts.program.target, facts.series(Kind.LABEL)
    loss = facts.series(Kind.LOSS)
    is_over_classes = facts.program.loss.name in (
        "sparse_categorical_crossentropy", "binary_crossentropy",
    )  # fmt: skip
    if target is None or not target.is_integer_valued or not is_over_classes:
        return
    block = facts.ends.stop
    low, high, n, cost = (
        _column(block, (label, loss), column, place)
        for column, place in (("min", 0), ("max", 0), ("n", 0), ("mean", 1))
    )
    is_single = low == high
    if len(n) < MIN_CHANGES + MIN_SETTLED or n.max() < MIN_SAMPLES:
        return
    if is_single.mean() < MIN_SHARE or len(np.unique(low[is_single])) < 2:
        return
    is_change = np.append(False, (low[1:] != low[:-1]) | (high[1:] != high[:-1]))
    is_settled = np.append(False, ~is_change[1:]) & is_single
    if is_change.sum() < MIN_CHANGES or is_settled.sum() < MIN_SETTLED:
        return
    changed, settled = float(cost[is_change].mean()), float(cost[is_settled].mean())
    if changed > max(threshold * settled, math.log(2)):
        yield Sighting(
            Kind.LABEL, None, Severity.SEVERE, 0.94, changed / max(settled, 1e-12),
            f"is the same for every sample in {is_single.mean():.0%} of the last batches, and "
            "there are several: data are sorted by it. Where it changes, the loss is "
            f"{changed:.3g} on average, and {settled:.3g} where it has not: each class is learned "
            "anew, and forgotten",
        )  # fmt: skip


def _column(block: Block, series: tuple[int, int], column: str, place: int) -> NDArray[np.float64]:
    return jointly(block, series, column)[:, place]


CHECKS = (
    Check(
        name="sorted by class", symptom=Symptom.SORTED_LABELS, condition=_sorted, threshold=3.0,
        quantity="loss where the label changes relative to that where it does not",
        statement="Most batches have samples of one class only, one class after the other, and "
        "the loss jumps with each.",
        reason="A batch of one class asks for that answer whatever the input, and the next one "
        "for another: steps undo each other (Bottou 2012, 'Stochastic gradient descent tricks', "
        "section 4.2, wants samples shuffled).",
        source="the last iterations: half of the batches or more, at the end of the run, and a "
        "loss that is three times as large at a change and above that of guessing one of two; "
        "adversarial training, in which labels change with every batch, has no others to compare",
        false_alarms="none known",
    ),
)  # fmt: skip
