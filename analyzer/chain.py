"""The causal chain around a fault: what grew before it, what broke, and where it spread."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from deeplocalize.traces.schema import Kind

from .findings import Finding
from .outlier import Outlier
from .places import Place, place_of
from .rules.rule import Symptom
from .window import Window

# Growth within the window that is worth telling; healthy weights change by far less.
NOTABLE_GROWTH = 10.0
MAX_LINKS = 3


class Relation(StrEnum):
    """Where a link stands relative to the fault."""

    BEFORE = "before"
    AT = "at"
    AFTER = "after"

    @property
    def word(self) -> str:
        """As it stands beside an iteration, which may be that of the fault itself."""
        return "fault" if self is Relation.AT else self.value


@dataclass(frozen=True)
class Link:
    """One step of the chain."""

    relation: Relation
    iteration: int
    place: Place
    sentence: str


@dataclass(frozen=True)
class Growth:
    """How much a tensor's rms grew from one iteration to another before the fault."""

    place: Place
    since: int
    until: int
    first_rms: float
    last_rms: float

    @property
    def factor(self) -> float:
        """Last rms relative to the first."""
        return self.last_rms / self.first_rms

    def __str__(self) -> str:
        return (
            f"{self.place} grew {self.factor:.3g}-fold in rms, from {self.first_rms:.3g} to "
            f"{self.last_rms:.3g}, between iterations {self.since} and {self.until}"
        )


def chain_of(
    finding: Finding, findings: Sequence[Finding], window: Window, outlier: Outlier | None = None
) -> tuple[Link, ...]:
    """Before, at and after a fault, in the order of events; a few links of each.

    Parameters
    ----------
    outlier
        What was fed before and is out of line, if anything.
    """
    fed = [Link(Relation.BEFORE, one.iteration, one.place, str(one)) for one in (outlier,) if one]
    before = [
        Link(Relation.BEFORE, growth.until, growth.place, str(growth))
        for growth in _largest_per_layer(growths(window, finding.place.position))[:MAX_LINKS]
        if outlier is None or growth.place != outlier.place
    ]
    at = Link(Relation.AT, finding.onset, finding.place, str(finding))
    after = [
        Link(Relation.AFTER, later.onset, later.place, str(later))
        for later in findings
        if later.symptom is Symptom.NON_FINITE is finding.symptom
        and later.place.kind is not Kind.METRIC
        and (later.onset, later.place.position) > (finding.onset, finding.place.position)
    ]
    return (*fed, *before, at, *after[:MAX_LINKS])


def growths(window: Window, position: int) -> tuple[Growth, ...]:
    """Notable growth of tensors until a position in the moment's iteration, largest first."""
    found = []
    for i, series in enumerate(window.header.series):
        # Biases start at zero, so that any training multiplies them.
        if len(series.shape) < 2 and series.kind is not Kind.LOSS:
            continue
        iterations, rms = window.rms_until(i, includes_moment=series.position < position)
        usable = np.flatnonzero(np.isfinite(rms) & (rms > 0))
        if len(usable) < 2:
            continue
        first, last = usable[0], usable[-1]
        growth = Growth(
            place=place_of(window.header, i),
            since=int(iterations[first]),
            until=int(iterations[last]),
            first_rms=float(rms[first]),
            last_rms=float(rms[last]),
        )
        if growth.factor >= NOTABLE_GROWTH:
            found.append(growth)
    return tuple(sorted(found, key=lambda growth: -growth.factor))


def _largest_per_layer(ordered: Sequence[Growth]) -> list[Growth]:
    chosen: dict[object, Growth] = {}
    for growth in ordered:
        chosen.setdefault(growth.place.layer or growth.place.kind, growth)
    return list(chosen.values())
