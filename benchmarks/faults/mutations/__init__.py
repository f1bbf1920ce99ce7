"""Seeded faults: healthy programs changed systematically, each change with its right answers.

An operator turns a program and a place into a faulty program. Every operator is applied to
several parents, at every place that it can take there (the first two); one with few parents with
several seeds.
Whether a change did harm is measured, not assumed: the skill of the mutant against that of its
parent decides, without the analyzer, whether it counts as a fault (see `judge.py`).
"""

from collections.abc import Iterator

from ..program import Case, Group
from ..zoo import PROGRAMS, seeded
from .operators import OPERATORS

MAX_PLACES = 2


def cases() -> Iterator[Case]:
    """Every operator on each of its parents, places and seeds."""
    for operator in OPERATORS:
        for parent in operator.parents:
            program = PROGRAMS[parent]
            for place in list(operator.places(program))[:MAX_PLACES]:
                for seed in operator.seeds[: 1 if len(operator.parents) > 2 else None]:
                    mutant, answers = operator.change(seeded(parent, seed), place)
                    yield Case(
                        f"{operator.name}/{parent}/{place}/{seed}", Group.SEEDED, mutant, answers,
                        parent=f"{parent}/{seed}", operator=operator.name,
                    )  # fmt: skip
