"""The check of a squared error that compares each output with each target."""

from collections.abc import Iterator

import numpy as np

from deeplocalize.traces.schema import Kind

from ..rules.rule import Severity, Symptom
from .check import Check, Facts, Sighting

MIN_BATCHES = 10
"""Batches that have to agree: that outputs and targets of so many are uncorrelated by chance does
not happen, as each is with a probability of a few hundredths at most."""

MIN_SPREAD = 1e-3
"""Share of the loss that outputs and targets must have in common if they are correlated at all,
where float32 has rounded it to 1e-6."""


def _broadcast(facts: Facts, threshold: float) -> Iterator[Sighting]:
    header, head = facts.program.header, facts.head
    label, loss = facts.series(Kind.LABEL), facts.series(Kind.LOSS)
    if head is None or facts.program.target is None or min(label, loss, head.output) < 0:
        return
    shapes = [header.series[i].shape for i in (label, head.output)]
    if sorted(map(len, shapes)) != [1, 2] or max(shapes, key=len)[-1] != 1:
        return
    series = (label, head.output, loss)
    n, mean, rms = (facts.ends.together(series, column) for column in ("n", "mean", "rms"))
    variance = np.maximum(rms**2 - mean**2, 0)
    crossed = rms[:, 0] ** 2 + rms[:, 1] ** 2 - 2 * mean[:, 0] * mean[:, 1]
    common = 2 * np.sqrt(variance[:, 0] * variance[:, 1])
    is_telling = (n[:, 0] == n[:, 1]) & (n[:, 0] > 1) & (common > MIN_SPREAD * crossed)
    if is_telling.sum() < MIN_BATCHES:
        return
    apart = np.abs(mean[:, 2] - crossed)[is_telling] / common[is_telling]
    if apart.max() < threshold:
        yield Sighting(
            Kind.LOSS, None, Severity.SEVERE, 0.97, float(apart.max()),
            f"is what comes of comparing each output with each target: targets of shape "
            f"{_told(shapes[0])} and outputs of shape {_told(shapes[1])} are broadcast to a square",
        )  # fmt: skip


def _told(shape: tuple[int | None, ...]) -> str:
    lengths = ["n", *("1" for _ in shape[1:])]
    return f"({lengths[0]},)" if len(lengths) == 1 else f"({', '.join(lengths)})"


CHECKS = (
    Check(
        name="loss broadcasts", symptom=Symptom.BROADCAST_LOSS, condition=_broadcast,
        threshold=0.01, quantity="correlation of outputs and targets in the loss",
        statement="A squared error of targets (n,) and outputs (n, 1) is the mean over all n * n "
        "pairs.",
        reason="Each output is drawn to all targets, so that all become their mean. Losses of "
        "Keras bring both to the same shape; arithmetic in a `train_step` of one's own does not.",
        source="exact: the mean over all pairs follows from the means and mean squares of both, "
        f"and must be the recorded loss in {MIN_BATCHES} batches or more in which the mean over "
        "samples would differ",
        false_alarms="none known",
    ),
)  # fmt: skip
