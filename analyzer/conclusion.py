"""The conclusion of a diagnosis, what to add to it, and how the run ended: a sentence each."""

from typing import TYPE_CHECKING

from deeplocalize.traces.schema import Kind

from .causes import Cause, Target
from .localization import FirstFault
from .run import Ending, Run
from .verdict import Verdict

if TYPE_CHECKING:
    from .diagnosis import Diagnosis

# What a tensor that belongs to no layer is a part of.
_TARGETS = {
    Kind.INPUT: Target.DATA,
    Kind.LABEL: Target.DATA,
    Kind.SAMPLE_WEIGHT: Target.DATA,
    Kind.LOSS: Target.LOSS,
}

_ENDINGS = {
    Ending.COMPLETED: "The run was completed",
    Ending.STOPPED: "The run was stopped before its last epoch",
    Ending.EXCEPTION: "The run stopped with an exception",
    Ending.INTERRUPTED: "The run was interrupted from the keyboard",
    Ending.FAILED: "The recording failed before the run ended",
    Ending.NOT_RECORDED: "The run ended abruptly or is still going on: no end was recorded",
}


def conclude(diagnosis: "Diagnosis") -> str:
    """What the diagnosis comes to."""
    if diagnosis.first_fault is not None:
        return _faulty(diagnosis.first_fault)
    if diagnosis.verdict is Verdict.UNKNOWN:
        return f"There is no verdict. It would take {diagnosis.needs}."
    n_series = sum(diagnosis.coverage.n_series.values())
    doubt = f"; whether it learned was not judged: {diagnosis.doubt}" if diagnosis.doubt else ""
    return (
        f"The run looks healthy: {diagnosis.coverage.n_recorded} recorded iterations of "
        f"{n_series} tensors show no fault{doubt}."
    )


def elsewhere(diagnosis: "Diagnosis") -> str:
    """Where the likeliest cause lies, where that is not what the conclusion names; else empty.

    A fault shows where the numbers go wrong, which need not be where the mistake is.
    """
    fault = diagnosis.first_fault
    if fault is None or not diagnosis.suspects:
        return ""
    first = diagnosis.suspects[0]
    shown = fault.layer or _TARGETS.get(fault.place.kind, Target.TRAINING)
    is_placed = first.layer is not None or first.target is not Target.LAYER
    if first.cause is Cause.UNKNOWN or not is_placed or (first.layer or first.target) == shown:
        return ""
    where = first.layer or f"the {first.target}"
    return f"It shows there, but the likeliest cause lies in {where}: {first.cause}."


def ending(run: Run) -> str:
    """How the run ended, and when."""
    when = f", after {run.last}" if run.last else ""
    if not run.is_whole and when:
        when = f"; recorded are only its iterations to {run.last}"
    what = f": {run.ending_message}" if run.ending_message else ""
    return f"{_ENDINGS[run.ending]}{when}{what}."


def _faulty(fault: FirstFault) -> str:
    explanation = fault.explanation[0].upper() + fault.explanation[1:]
    when = f"; first at {fault.moment}, in the {fault.phase} phase" if fault.is_dated else ""
    return f"{explanation}{when}."
