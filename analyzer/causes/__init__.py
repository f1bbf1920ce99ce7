"""From symptoms and configuration to ranked suspects.

An inference is a function from a `Case` to suspects; the tuple below is the registry. Suspects
that name the same cause in the same place are merged, and only a handful is kept.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import replace

from . import breakage, design, learning, outlying, stillness
from .calibration import believable
from .cause import Case, Cause, Suspect, Target, fact_of

MAX_SUSPECTS = 5

# Of suspects in a place that only an inexact replay names: rounding seldom decides what breaks
# first, but other random numbers would.
UNCERTAIN_SHARE = 0.8

INFERENCES: tuple[Callable[[Case], Iterable[Suspect]], ...] = (
    outlying.suspects,
    design.suspects,
    breakage.suspects,
    stillness.suspects,
    learning.suspects,
)


# Causes that say the same about one layer: what is wrong is how output and loss fit together.
_EQUIVALENT = {Cause.ACTIVATION_LOSS_MISMATCH: Cause.OUTPUT_ACTIVATION}


def infer(case: Case) -> tuple[Suspect, ...]:
    """The suspects of a case, most likely first; `Cause.UNKNOWN` where nothing fits."""
    merged: dict[tuple[object, ...], Suspect] = {}
    for inference in INFERENCES:
        for suspect in inference(case):
            cause = _EQUIVALENT.get(suspect.cause, suspect.cause)
            key = (cause, suspect.target, suspect.layer)
            merged[key] = _merged(merged[key], suspect) if key in merged else suspect
    known = [suspect for suspect in merged.values() if suspect.cause is not Cause.UNKNOWN]
    candidates = known or list(merged.values()) or [_unknown(case)]
    share = 1.0 if case.first_fault.is_certain else UNCERTAIN_SHARE
    candidates = [replace(s, confidence=share * s.confidence) for s in candidates]
    ranked = sorted(candidates, key=lambda suspect: -suspect.confidence)[:MAX_SUSPECTS]
    return tuple(_told_once(believable(ranked)))


def _told_once(ranked: Iterable[Suspect]) -> Iterator[Suspect]:
    """The suspects without what an earlier one has told already, as long as something is left."""
    told: set[Hashable] = set()
    for suspect in ranked:
        new = tuple(sentence for sentence in suspect.evidence if fact_of(sentence) not in told)
        told.update(map(fact_of, new))
        yield replace(suspect, evidence=new or suspect.evidence[:1])


def _merged(a: Suspect, b: Suspect) -> Suspect:
    better = a if a.confidence >= b.confidence else b
    return Suspect(
        cause=better.cause,
        target=a.target,
        layer=a.layer,
        confidence=better.confidence,
        symptoms=tuple(dict.fromkeys((*a.symptoms, *b.symptoms))),
        evidence=_distinct((*a.evidence, *b.evidence)),
        fix=better.fix,
    )


def _distinct(sentences: Iterable[str]) -> tuple[str, ...]:
    """Each fact once, in the words in which it was stated first."""
    kept: dict[Hashable, str] = {}
    for sentence in sentences:
        kept.setdefault(fact_of(sentence), sentence)
    return tuple(kept.values())


def _unknown(case: Case) -> Suspect:
    fault = case.first_fault
    return Suspect(
        cause=Cause.UNKNOWN,
        target=Target.LAYER if fault.layer else Target.TRAINING,
        layer=fault.layer,
        confidence=0.2,
        symptoms=(fault.symptom,),
        evidence=(f"{fault.explanation} ({fault.moment})",),
        fix="The trace does not tell: look at the place of the first fault.",
    )


__all__ = ["MAX_SUSPECTS", "Case", "Cause", "Suspect", "Target", "infer"]
