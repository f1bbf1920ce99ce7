"""Ordinary good trainings: heads and losses, kinds of network, optimizers, short and long."""

from collections.abc import Iterator
from dataclasses import replace

from ..program import Case, Group, Program
from . import heads, networks, trainings

SEEDS = (0, 1)

PROGRAMS: dict[str, Program] = {**heads.PROGRAMS, **networks.PROGRAMS, **trainings.PROGRAMS}

_REAL = frozenset({"table", "digit_images", "digit_copies"})


def seeded(name: str, seed: int) -> Program:
    """A healthy program with its weights, and its data where they are drawn, from a seed."""
    program, is_real = PROGRAMS[name], PROGRAMS[name].task["name"] in _REAL
    task = program.task if is_real else {**program.task, "seed": seed}
    return replace(program, seed=seed, task=task)


def cases() -> Iterator[Case]:
    """Every healthy program with every seed."""
    for name in PROGRAMS:
        for seed in SEEDS:
            yield Case(f"{name}/{seed}", Group.HEALTHY, seeded(name, seed))
