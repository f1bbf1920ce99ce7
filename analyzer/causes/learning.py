"""Suspects for a model that does not learn: its loss stays where it was, or rises."""

from collections.abc import Iterable

from ..optimizer import optimizer_facts
from ..rules.rule import Symptom
from .cause import Case, Cause, Suspect, Target, clue


def suspects(case: Case) -> Iterable[Suspect]:
    """Steps of the wrong size, saturated layers and unscaled inputs, as the numbers say."""
    stuck = case.showing(Symptom.LOSS_NOT_DECREASING, Symptom.LOSS_DIVERGING)
    exploding = case.showing(Symptom.EXPLODING_GRADIENT)
    if not stuck and not exploding:
        return
    symptom = (*stuck, *exploding)[0]
    optimizer = optimizer_facts(case.header)
    saturated = case.showing(Symptom.SATURATED_ACTIVATION)
    tiny, large = case.showing(Symptom.TINY_UPDATE), case.showing(Symptom.LARGE_UPDATE)
    is_growing = symptom.symptom is not Symptom.LOSS_NOT_DECREASING
    if is_growing or large or tiny:
        reason = (*large, *exploding, *tiny)[:1]
        factor = 0.01 if is_growing or large else 100
        yield Suspect(
            cause=Cause.LEARNING_RATE,
            target=Target.OPTIMIZER,
            layer=None,
            confidence=0.75 if is_growing else 0.55,
            symptoms=tuple(dict.fromkeys(f.symptom for f in (symptom, *reason))),
            evidence=(*(clue(f) for f in (symptom, *reason)), f"optimizer: {optimizer}"),
            fix=f"model.compile(optimizer={optimizer.with_rate(factor)}), ...)",
        )
    if saturated:
        yield Suspect(
            cause=Cause.HIDDEN_ACTIVATION,
            target=Target.LAYER,
            layer=saturated[0].place.layer,
            confidence=0.5,
            symptoms=(symptom.symptom, Symptom.SATURATED_ACTIVATION),
            evidence=(clue(symptom), clue(saturated[0])),
            fix='Use activation="relu" in hidden layers, or smaller initial weights',
        )
