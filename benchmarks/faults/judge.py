"""Right or wrong: what an analyzer said about a case, against what is known about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .program import Answer, Case, Group
from .train import Training

LEAST_SKILL = 0.3
"""A healthy or repaired training below this does not train, whatever its author thought."""

HARM = 0.2
"""Share of its parent's skill that a mutant must lose to count as a fault."""

DIFFERENCE = 0.1
"""Skill that a repair must gain for a doubtful known fault to count as observable."""


@dataclass(frozen=True)
class Guess:
    """One suspect: its cause, the index of its layer (None: it has none), and its confidence."""

    cause: str
    layer: int | None
    confidence: float = 0.0


@dataclass(frozen=True)
class Opinion:
    """What an analyzer said about a case."""

    verdict: str
    guesses: tuple[Guess, ...] = ()
    seconds: float = 0.0

    @property
    def is_alarm(self) -> bool:
        """Whether it called the training faulty."""
        return self.verdict == "faulty"


@dataclass(frozen=True)
class Trial:
    """A case that ran, with the reason for which it is counted apart (empty: it is not)."""

    case: Case
    training: Training
    apart: str


def trials(trained: Mapping[str, tuple[Case, Training]]) -> tuple[Trial, ...]:
    """Every trained case, judged by measured skill only: no analyzer takes part in this."""
    skills = {name: training.skill for name, (_, training) in trained.items()}
    return tuple(
        Trial(case, training, _apart(case, training.skill, skills))
        for case, training in trained.values()
    )


def _apart(case: Case, skill: float, skills: Mapping[str, float]) -> str:
    if case.remark:
        return case.remark
    match case.group:
        case Group.HEALTHY | Group.REPAIRED if skill < LEAST_SKILL:
            return f"does not train (skill {skill:.2f})"
        case Group.SEEDED:
            before = skills.get(case.parent, 1.0)
            if skill > (1 - HARM) * before:
                return f"did no harm (skill {skill:.2f}, parent {before:.2f})"
        case Group.KNOWN if not case.is_certain:
            after = skills.get(f"{case.parent}/repaired")
            if after is None:
                return "has no usable repaired form, and a doubtful label"
            if after < skill + DIFFERENCE:
                return f"the repair changes nothing (skill {skill:.2f}, then {after:.2f})"
    return ""


def is_right(guess: Guess, answers: Sequence[Answer]) -> bool:
    """Whether a guess names a right cause, in a right layer where the cause has one."""
    return any(
        guess.cause == answer.cause and (answer.layers is None or guess.layer in answer.layers)
        for answer in answers
    )


def names_cause(guess: Guess, answers: Sequence[Answer]) -> bool:
    """Whether a guess names a right cause, wherever it puts it."""
    return any(guess.cause == answer.cause for answer in answers)


def rank(opinion: Opinion, answers: Sequence[Answer]) -> int | None:
    """Place of the first right guess, from 1; None without one, or without an alarm."""
    if not opinion.is_alarm:
        return None
    places = (i for i, guess in enumerate(opinion.guesses, 1) if is_right(guess, answers))
    return next(places, None)
