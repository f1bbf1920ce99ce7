"""Checks of the weights of samples: errors that count nothing teach nothing."""

from collections.abc import Iterator, Sequence

import numpy as np

from deeplocalize.traces.schema import Kind

from ..rules.rule import Severity, Symptom
from .check import Check, Facts, Sighting

# Recorded batches that have to agree, and different numbers of ignored samples among them, before
# a class is said to be what is ignored: chosen, so that chance cannot bring it about.
MIN_BATCHES = 8
MIN_AMOUNTS = 3


def _nothing_counts(facts: Facts, threshold: float) -> Iterator[Sighting]:
    header, ends = facts.program.header, facts.ends
    weights = _series(facts, Kind.SAMPLE_WEIGHT)
    n_samples = max(
        (summary.n_samples for summary in header.data if summary.role is Kind.SAMPLE_WEIGHT),
        default=0,
    )
    if n_samples < threshold or not weights:
        return
    if all(ends.least(i, "min") == ends.most(i, "max") == 0 for i in weights):
        yield Sighting(
            Kind.SAMPLE_WEIGHT, None, Severity.SEVERE, 0.97, float(n_samples),
            "is 0 for every sample: no error counts, and every gradient is 0",
        )  # fmt: skip


def _class_counts_nothing(facts: Facts, threshold: float) -> Iterator[Sighting]:
    target = facts.program.target
    weights, labels = _series(facts, Kind.SAMPLE_WEIGHT), _series(facts, Kind.LABEL)
    is_single = len(weights) == len(labels) == 1
    if target is None or not is_single or not facts.program.loss.is_built_in:
        return
    if set(target.class_counts) != {"0", "1"}:
        return
    both = (weights[0], labels[0])
    n, n_zero = (facts.ends.together(both, column) for column in ("n", "n_zero"))
    is_judged = len(n) >= MIN_BATCHES and (n[:, 0] == n[:, 1]).all()
    ignored, of_class_0 = n_zero[:, 0], n_zero[:, 1]
    if not is_judged or len(np.unique(ignored)) < MIN_AMOUNTS:
        return
    for number, of_class in enumerate((of_class_0, n[:, 1] - of_class_0)):
        if (ignored == of_class).all():
            yield Sighting(
                Kind.SAMPLE_WEIGHT, None, Severity.SEVERE, 0.96, float(len(n)),
                f"is 0 for every sample of class {number}, and for no other: always answering "
                f"{1 - number} is never wrong",
            )  # fmt: skip


def _series(facts: Facts, kind: Kind) -> Sequence[int]:
    return [i for i, series in enumerate(facts.program.header.series) if series.kind is kind]


CHECKS = (
    Check(
        name="no sample counts", symptom=Symptom.SAMPLES_IGNORED, condition=_nothing_counts,
        threshold=20, quantity="samples",
        statement="The weights of all samples are 0.",
        reason="The loss and all gradients are multiplied by 0.",
        source="exact, over the first batches and both ends of the run",
        false_alarms="none known",
    ),
    Check(
        name="a class does not count", symptom=Symptom.SAMPLES_IGNORED,
        condition=_class_counts_nothing, threshold=MIN_BATCHES, quantity="recorded batches",
        statement="Of two classes one has samples of weight 0 only, and the other none.",
        reason="What is left is a single class: always answering it is never wrong.",
        source=f"exact: as many samples of weight 0 as of the class, in {MIN_BATCHES} batches or "
        f"more that have at least {MIN_AMOUNTS} different numbers of them",
        false_alarms="none known",
    ),
)  # fmt: skip
