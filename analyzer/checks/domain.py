"""Checks of outputs that the loss cannot take for what they are."""

import math
from collections.abc import Iterator

import numpy as np

from deeplocalize.traces.schema import Kind

from ..graph import series_of
from ..outcome import POOR_SKILL
from ..rules.rule import Severity, Symptom
from .check import Check, Facts, Sighting
from .head import RANGES

MIN_BATCHES = 8
"""Batches whose gradients must all lie in the narrow range that a second softmax leaves."""

MIN_CLASSES = 3
"""Of two classes the range is as wide as gradients of other losses are."""

ROUNDING = 0.02
"""Share by which a gradient in reduced precision may leave its range: float16 has 1e-3."""


def _negative_rates(facts: Facts, threshold: float) -> Iterator[Sighting]:
    head, name = facts.head, facts.program.loss.name
    if head is None or name != "poisson":
        return
    low = -math.inf if head.activation == "linear" else RANGES.get(head.activation, (0.0, 0.0))[0]
    if low < threshold:
        yield Sighting(
            Kind.OUTPUT, head.activated_by, facts.harm_below(POOR_SKILL), 0.97, low,
            f"passes {head.activation}, which goes below 0, while {name} takes the logarithm of "
            "what is to be a rate",
        )  # fmt: skip


def _taken_for_logits(facts: Facts, threshold: float) -> Iterator[Sighting]:
    """Sees a softmax behind a softmax by the gradient: of q = softmax(p) it is (q - y) / n."""
    head, loss = facts.head, facts.program.loss
    if head is None or head.activation != "softmax" or head.n_units < MIN_CLASSES:
        return
    if loss.is_built_in or head.trailing:
        return
    series = series_of(facts.program.header, head.activated_by, Kind.OUTPUT_GRADIENT)[-1:]
    n, low, high, mean, n_zero = (
        facts.ends.together(series, column)[:, 0] if series else np.zeros(0)
        for column in ("n", "min", "max", "mean", "n_zero")
    )
    rows = n / head.n_units
    least, most = 1 / (math.e + head.n_units - 1), math.e / (math.e + head.n_units - 1)
    is_within = (
        (n_zero == 0)
        & (high * rows >= least * (1 - ROUNDING))
        & (high * rows <= most * (1 + ROUNDING))
        & (-low * rows >= (1 - most) * (1 - ROUNDING))
        & (-low * rows <= (1 - least) * (1 + ROUNDING))
        & (np.abs(mean) <= threshold * np.abs(low))
    )
    if len(rows) >= MIN_BATCHES and is_within.all():
        yield Sighting(
            Kind.OUTPUT, head.activated_by, Severity.SEVERE, 0.93, float(np.abs(mean / low).max()),
            "passes softmax, and the gradient by it is that of one more softmax: the loss takes "
            "probabilities for logits",
        )  # fmt: skip


CHECKS = (
    Check(
        name="rates below 0", symptom=Symptom.NEGATIVE_RATES, condition=_negative_rates,
        threshold=0.0, quantity="least value of the activation",
        statement="A Poisson loss receives an output that can be negative.",
        reason="p - y log p is NaN below 0, and has no minimum there where y is 0.",
        source="ranges of the activations; a notice where the run came half of the way",
        false_alarms="a run whose outputs stay positive and that fails for another reason",
    ),
    Check(
        name="probabilities taken for logits", symptom=Symptom.SQUASHED_TWICE,
        condition=_taken_for_logits, threshold=1e-3,
        quantity="mean of the gradient by the outputs relative to its largest element",
        statement="A loss of the user's own squashes the outputs of a softmax once more.",
        reason="The loss cannot come near 0, and its gradient is damped.",
        source="exact: the gradient of a cross-entropy by its logits p is (softmax(p) - y) / n; "
        "for p between 0 and 1 its elements lie in two narrow ranges and sum to 0 in each row, "
        f"and {MIN_BATCHES} batches or more must agree",
        false_alarms="none known",
    ),
)  # fmt: skip
