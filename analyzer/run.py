"""The run itself: what was trained with what, how far it came and how it ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from deeplocalize.traces.interface import Event, TraceReader, end_of, lost_tensors
from deeplocalize.traces.schema import EventName, RunStatus

from .places import Moment


class Ending(StrEnum):
    """How a run ended, or that its trace does not say."""

    COMPLETED = RunStatus.COMPLETED.value
    STOPPED = RunStatus.STOPPED.value
    EXCEPTION = RunStatus.EXCEPTION.value
    INTERRUPTED = RunStatus.INTERRUPTED.value
    FAILED = RunStatus.FAILED.value
    NOT_RECORDED = "not_recorded"


_NOTES = (EventName.NOTE, EventName.ANOMALY, EventName.LIMIT)


@dataclass(frozen=True)
class Run:
    """A run as reports describe it.

    ``last`` is the last recorded moment (None: no iteration). An ending that is not recorded
    means that the process was killed, or that the run is still going on; a failed one that the
    recording ended before the run. ``is_whole`` is False where the trace reached its size limit,
    or has lost iterations that were recorded before the end was.
    """

    source: str
    framework: str
    versions: Mapping[str, str]
    model_name: str
    model_class: str
    n_layers: int
    n_iterations: int
    last: Moment | None
    ending: Ending
    ending_message: str
    notes: tuple[str, ...]
    is_whole: bool = True

    @property
    def is_cut_short(self) -> bool:
        """Whether the run ended before anybody meant it to."""
        return self.ending in (Ending.EXCEPTION, Ending.INTERRUPTED, Ending.NOT_RECORDED)


def run_of(reader: TraceReader, source: str) -> Run:
    """Describe the run behind a trace."""
    header, events = reader.header, tuple(reader.events())
    end, last = end_of(events), _last_moment(reader)
    n_there = 0 if last is None else last.iteration + 1
    lost = lost_tensors(reader, events)
    has_lost = end is not None and end.iteration >= n_there
    return Run(
        source=source,
        framework=header.framework,
        versions=dict(header.versions),
        model_name=header.model_name,
        model_class=header.model_class,
        n_layers=sum(layer.index >= 0 for layer in header.layers),
        n_iterations=reader.n_iterations,
        last=last,
        ending=Ending.NOT_RECORDED if end is None else _ending(end.details),
        ending_message="" if end is None else end.message,
        notes=tuple(_note(event, lost) for event in events if event.name in _NOTES),
        is_whole=not has_lost and all(event.name != EventName.LIMIT for event in events),
    )


def _note(event: Event, lost: Sequence[int]) -> str:
    """What an event says; if it tells of tensors that the trace has lost, with that."""
    missing = [i for i in lost if i in (event.details.get("kept") or ())]
    if not missing:
        return event.message
    return f"{event.message}; those from iteration {missing[0]} on are missing from this trace"


def _ending(details: Mapping[str, Any]) -> Ending:
    status = details.get("status")
    return Ending(status) if status in list(Ending) else Ending.COMPLETED


def _last_moment(reader: TraceReader) -> Moment | None:
    n = reader.n_iterations
    if not n:
        return None
    row = reader.iterations(n - 1, n)
    return Moment(int(row["iteration"][0]), int(row["epoch"][0]), int(row["batch"][0]))
