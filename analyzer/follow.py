"""Watching a trace that is still being written: one diagnosis per look, as blocks arrive.

Only what is new is replayed: evidence merges, so that a long run is not read again and again.
"""

from collections.abc import Iterator
from pathlib import Path

from deeplocalize.traces.errors import TraceNotFoundError
from deeplocalize.traces.trace import Trace, open_trace

from .diagnosis import Diagnosis, diagnosis_of
from .engine import replay
from .run import Ending
from .verdict import Verdict


def looks_at(trace: Trace) -> Iterator[Diagnosis]:
    """A diagnosis of what is there now, and another one each time the caller asks for more.

    The last one has a fault, or a run that ended. Waiting between the looks is for the caller.
    """
    replayed = None
    while True:
        replayed = replay(trace.reader, earlier=replayed)
        diagnosis = diagnosis_of(replayed, trace.reader, str(trace.path), is_followed=True)
        yield diagnosis
        if is_final(diagnosis):
            return
        trace.refresh()


def is_final(diagnosis: Diagnosis) -> bool:
    """Whether looking further cannot change what matters: a fault, or the end of the run."""
    is_ended = diagnosis.run.ending is not Ending.NOT_RECORDED
    return is_ended or diagnosis.verdict is Verdict.FAULTY


def open_once_there(path: str | Path) -> Trace | None:
    """The trace, or None as long as nothing is there."""
    try:
        return open_trace(path)
    except TraceNotFoundError:
        return None
