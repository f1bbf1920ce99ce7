"""The conclusion of a diagnosis in one sentence, and how the run ended in another."""

from typing import TYPE_CHECKING

from .localization import FirstFault
from .run import Ending, Run
from .verdict import Verdict

if TYPE_CHECKING:
    from .diagnosis import Diagnosis

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
    return (
        f"The run looks healthy: {diagnosis.coverage.n_recorded} recorded iterations of "
        f"{n_series} tensors show no fault."
    )


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
