"""From a trace, open or by its path, to what is wrong with its run."""

from pathlib import Path

from deeplocalize.traces.trace import Trace, open_trace

from .diagnosis import Diagnosis, diagnose
from .engine import Progress


def analyze(trace: Trace | str | Path, progress: Progress | None = None) -> Diagnosis:
    """Replay a trace and say what is wrong with its run, or that nothing is.

    Parameters
    ----------
    trace
        A path, which is opened and closed again, or an open trace, which is left open.
    progress
        Called now and then with the iterations done and their total.

    Raises
    ------
    TraceError
        The trace cannot be read.
    """
    if isinstance(trace, Trace):
        return diagnose(trace.reader, str(trace.path), progress)
    with open_trace(trace) as opened:
        return diagnose(opened.reader, str(opened.path), progress)
