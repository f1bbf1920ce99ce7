"""The suspect for a run that broke by a single absurd value among its inputs or targets."""

from collections.abc import Iterable

from deeplocalize.traces.schema import Kind, Phase

from ..outlier import MAX_LAG, Outlier
from ..places import Place
from ..rules.rule import Symptom
from .cause import Case, Cause, Suspect, Target

# That the fault follows at once, and that it follows after a step that blew up weights. Above
# what scales, rates and arithmetic are suspected with: those follow from the value. Below them
# where the run has survived the like.
_AT_ONCE, _LATER, _SURVIVED = 0.95, 0.9, 0.5

COLUMNS = {Kind.INPUT: "x", Kind.LABEL: "y", Kind.SAMPLE_WEIGHT: "sample_weight"}


def suspects(case: Case) -> Iterable[Suspect]:
    """The value, unless what was fed shows the fault itself."""
    outlier, is_told = case.outlier, bool(case.showing(Symptom.OUTLYING_VALUE))
    if outlier is not None and case.first_fault.phase is not Phase.INPUT and not is_told:
        yield Suspect(
            cause=Cause.INPUT_VALUES,
            target=Target.DATA,
            layer=None,
            confidence=_confidence(outlier),
            symptoms=(Symptom.OUTLYING_VALUE, case.first_fault.symptom),
            evidence=(f"the {outlier}",),
            fix=look_at_row(outlier.place),
        )


def _confidence(outlier: Outlier) -> float:
    if outlier.was_survived:
        return _SURVIVED
    return _AT_ONCE if outlier.lag <= MAX_LAG else _LATER


def look_at_row(place: Place) -> str:
    """How to find the row of the largest value."""
    name = COLUMNS[place.kind]
    return (
        "Find the row, and correct it or leave it out:\n"
        f"largest = np.abs({name}).reshape(len({name}), -1).max(axis=1)\n"
        f"rows = np.argsort(largest)[-5:]\nprint(rows, largest[rows])"
    )
