"""Checks of what is added to the loss: regularizers of activities, losses that layers add."""

from collections.abc import Iterator

import numpy as np

from deeplocalize.traces.schema import Kind

from ..graph import series_of
from ..outcome import LITTLE_SKILL
from ..rules.rule import Severity, Symptom
from .check import Check, Facts, Sighting

# How far from what always answering the same costs a loss may end that has come to just that. Where
# the loss itself is multiplied (`loss_weights`), it comes there only by chance.
TRIVIAL_WITHIN = 0.1


def _crushed_activity(facts: Facts, threshold: float) -> Iterator[Sighting]:
    header, ends = facts.program.header, facts.ends
    if facts.harm_below(LITTLE_SKILL) is Severity.NOTICE:
        return
    for i, layer in enumerate(header.layers):
        outputs = series_of(header, i, Kind.OUTPUT)
        if not layer.config.get("activity_regularizer") or not outputs:
            continue
        before, after = ends.first(outputs[-1], "rms"), ends.late(outputs[-1], "rms")
        if before > 0 and after < threshold * before:
            yield Sighting(
                Kind.OUTPUT, i, Severity.SEVERE, 0.93, after / before,
                f"has shrunk from {before:.3g} to {after:.3g} (rms) under the regularizer of its "
                "activity",
            )  # fmt: skip
            return


def _added(facts: Facts, threshold: float) -> Iterator[Sighting]:
    """Sees what a mean squared error cannot be: (a - b)**2 has a mean of (|a| + |b|)**2 at most."""
    head, loss = facts.head, facts.program.loss
    series = (facts.series(Kind.LABEL), head.output if head is not None else -1)
    total = facts.series(Kind.LOSS)
    is_plain = loss.name == "mean_squared_error" and loss.is_mean
    has_weights = facts.series(Kind.SAMPLE_WEIGHT) >= 0
    if not is_plain or facts.program.target is None or min(*series, total) < 0 or has_weights:
        return
    level, last = facts.outcome.trivial_loss, facts.outcome.last_loss.mean
    if not level or abs(last / level - 1) > TRIVIAL_WITHIN:
        return
    rms, n, mean = (facts.ends.together((*series, total), name) for name in ("rms", "n", "mean"))
    if not len(rms) or (n[:, 0] != n[:, 1]).any():
        return
    own, whole = (rms[:, 0] + rms[:, 1]) ** 2, mean[:, 2]
    share = float(np.median(own[: len(own) // 2] / whole[: len(own) // 2]))
    if 0 < share < threshold:
        yield Sighting(
            Kind.LOSS, None, Severity.SEVERE, 0.75, share,
            f"is {np.median(whole[: len(own) // 2]):.3g} at first, of which {loss.name} is at most "
            f"{share:.1%}: what layers or regularizers add to it outweighs it",
        )  # fmt: skip


CHECKS = (
    Check(
        name="activity crushed by a regularizer", symptom=Symptom.CRUSHED_WEIGHTS,
        condition=_crushed_activity, threshold=0.05,
        quantity="last rms of an output relative to the first",
        statement="The output of a layer with an activity regularizer has nearly vanished, and the "
        "run came to little.",
        reason="The penalty outweighs what the data ask for.",
        source="a twentieth of the initial size, as for weights; only where the run failed or came "
        "less than a fifth of the way",
        false_alarms="a run that fails for another reason",
    ),
    Check(
        name="added losses outweigh the loss", symptom=Symptom.OUTWEIGHED_LOSS, condition=_added,
        threshold=0.1, quantity="largest possible share of the loss itself",
        statement="A mean squared error is a tenth of the recorded loss at most, and the run came "
        "to little.",
        reason="The rest comes from regularizers and from losses that layers add: it is what the "
        "model is trained for.",
        source="exact bound by the sizes of outputs and targets (Minkowski), at the start of the "
        "run; an order of magnitude; only where the loss ends within a tenth of that of always "
        "answering the same",
        false_alarms="a run that fails for another reason",
    ),
)  # fmt: skip
