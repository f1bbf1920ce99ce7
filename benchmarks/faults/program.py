"""A training program as data, and the right answers about it.

What is described here `build.py` makes a Keras model of, and `tasks.py` or `standins.py` the
data for.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

Layer = Mapping[str, Any]
"""A Keras layer: ``class`` and the arguments of its constructor."""


class Goal(StrEnum):
    """What a program's answers are judged by."""

    CLASSES = "classes"
    LABELS = "labels"
    VALUES = "values"


@dataclass(frozen=True)
class Program:
    """One training: a stack of layers, compile and fit settings, and data by name.

    Attributes
    ----------
    task
        ``name`` of a data generator and its arguments.
    distortions
        What is done to the data before training, in order: (name, argument).
    n_epochs, batch_size
        As `keras.Model.fit` takes them.
    """

    layers: tuple[Layer, ...]
    loss: str
    optimizer: Mapping[str, Any]
    task: Mapping[str, Any]
    metrics: tuple[str, ...] = ("accuracy",)
    distortions: tuple[tuple[str, Any], ...] = ()
    n_epochs: int = 10
    batch_size: int = 32
    seed: int = 0

    @property
    def fingerprint(self) -> str:
        """Short hash of everything that decides what the training does."""
        text = json.dumps(asdict(self), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Answer:
    """A right answer: a cause and the layers it may be placed in (None: it has no layer)."""

    cause: str
    layers: frozenset[int] | None = None


class Group(StrEnum):
    """Which collection a case belongs to."""

    KNOWN = "known"
    REPAIRED = "repaired"
    HEALTHY = "healthy"
    SEEDED = "seeded"


class Part(StrEnum):
    """What a case may be used for; known and repaired programs are in neither part."""

    DEVELOPMENT = "development"
    HELD_BACK = "held back"


@dataclass(frozen=True)
class Case:
    """A program with what is known about it.

    ``answers`` is empty where nothing is wrong; ``parent`` names the healthy case that a
    seeded fault was made of, or the known program that was repaired. ``remark`` says why a
    case is counted apart (empty: it is not), ``is_certain`` whether its answers are beyond doubt.
    """

    name: str
    group: Group
    program: Program
    answers: tuple[Answer, ...] = ()
    parent: str = ""
    operator: str = ""
    remark: str = ""
    is_certain: bool = True
    part: Part | None = field(init=False)

    def __post_init__(self) -> None:
        is_split = self.group in (Group.HEALTHY, Group.SEEDED)
        object.__setattr__(self, "part", part_of(self.name) if is_split else None)


def part_of(name: str) -> Part:
    """The part that a case belongs to, by a hash of its name that never changes."""
    digit = int(hashlib.sha256(f"deeplocalize {name}".encode()).hexdigest(), 16) % 2
    return Part.HELD_BACK if digit else Part.DEVELOPMENT
