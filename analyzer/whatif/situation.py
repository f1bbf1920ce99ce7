"""What fixes are made from, and what a fix is."""

from dataclasses import dataclass

from ..causes import Suspect
from ..program import Head, Program
from ..rules.rule import Symptom
from .configuration import Entry, entry_named
from .obstacle import ObstacleError
from .recipe import Setup


@dataclass(frozen=True)
class Fix:
    """One way to train instead."""

    description: str
    setup: Setup


@dataclass(frozen=True)
class Situation:
    """What fixes are made from: the suspect, the training as recorded, and its program."""

    suspect: Suspect
    setup: Setup
    program: Program

    @property
    def head(self) -> Head:
        """The output; ObstacleError where the model has none that is known."""
        if self.program.head is None:
            raise ObstacleError("the model has no single output layer that is known")
        return self.program.head

    def showing(self, *symptoms: Symptom) -> bool:
        """Whether the suspect rests on one of the symptoms."""
        return bool(set(symptoms) & set(self.suspect.symptoms))

    def name(self, position: int) -> str:
        """Name of a layer by its position in the header."""
        return self.program.layer(position).name

    @property
    def entry(self) -> Entry:
        """The suspected layer's configuration; ObstacleError if it names none."""
        if self.suspect.layer is None:
            raise ObstacleError("it names no layer")
        return entry_named(self.setup.config, self.suspect.layer.name)
