"""What a check is: a rule that joins what a program was with what its run did, as data.

A rule of ``analyzer/rules`` sees one tensor in one iteration. A check sees the program, both ends
of the run and what it came to, and is asked once.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from deeplocalize.traces.schema import Kind

from ..ends import Ends
from ..epochs import Epochs
from ..outcome import POOR_SKILL, Outcome
from ..outlier import Outlier
from ..program import Head, Program
from ..rates import Rates
from ..rules.rule import Severity, Symptom


@dataclass(frozen=True, eq=False)
class Facts:
    """Everything that a check may look at."""

    program: Program
    ends: Ends
    outcome: Outcome
    epochs: Epochs = field(default_factory=Epochs)
    rates: Rates = field(default_factory=Rates)
    stray: Outlier | None = None
    """A lone value far from all others, in a run that stayed finite and was harmed; else None."""
    has_few_batches: bool = False
    """Whether too few of the data were recorded to tell what all are like."""
    ending: str = ""
    """The exception that the run stopped with, in its own words; else empty."""
    is_cut_short: bool = False
    """Whether the run ended before anybody meant it to."""

    def series(self, kind: Kind, layer: int | None = None) -> int:
        """The first series of a kind and a layer; -1 without one."""
        for i, series in enumerate(self.program.header.series):
            if series.kind is kind and series.layer == layer:
                return i
        return -1

    def is_of_stray(self, kind: Kind, tensor: str, threshold: float) -> bool:
        """Whether one value alone brings what was fed above a threshold."""
        stray = self.stray
        if stray is None or (stray.place.kind, stray.place.tensor) != (kind, tensor):
            return False
        return stray.usual <= threshold

    @property
    def head(self) -> Head | None:
        """The end of the network; where that is a guess, only in a run that came to little."""
        head = self.program.head
        is_doubted = self.harm_below(POOR_SKILL) > Severity.NOTICE
        return head if head is not None and (head.is_certain or is_doubted) else None

    @property
    def harm(self) -> Severity:
        """How severe a weakness is in this run: a notice unless the run failed or was hurt."""
        return self.harm_below(0.0)

    def harm_below(self, skill: float) -> Severity:
        """How severe a mistake is that nobody makes on purpose, in a run of less than a skill."""
        reached = self.outcome.skill
        is_low = reached is not None and reached < skill
        return Severity.SEVERE if self.outcome.is_harmed or is_low else Severity.NOTICE


@dataclass(frozen=True)
class Sighting:
    """That a check applies, and where.

    Attributes
    ----------
    kind, layer
        The tensor that shows it; ``layer`` is a position in the header, None for the batch.
    severity
        Severe where the program cannot work like this, or where the run went badly.
    weight
        How likely this is what is wrong, were it the only thing seen: 0 to 1.
    value
        The number that the check's threshold was compared with.
    sentence
        The predicate to the tensor as subject.
    series
        The tensor itself, where the layer has several of that kind; -1: the first of them.
    """

    kind: Kind
    layer: int | None
    severity: Severity
    weight: float
    value: float
    sentence: str
    series: int = -1


@dataclass(frozen=True)
class Check:
    """One thing that can be wrong with a program.

    ``condition(facts, threshold)`` gives a sighting per place. ``statement`` says in general what
    the sentences of its sightings say in particular.
    """

    name: str
    symptom: Symptom
    condition: Callable[[Facts, float], Iterable[Sighting]]
    threshold: float
    quantity: str
    statement: str
    reason: str
    source: str
    false_alarms: str
