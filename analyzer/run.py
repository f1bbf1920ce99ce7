"""The run itself: what was trained with what, how far it came and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from deeplocalize.traces.interface import Event, TraceReader

from .places import Moment


class Ending(StrEnum):
    """How a run ended."""

    COMPLETED = "completed"
    STOPPED = "stopped"
    EXCEPTION = "exception"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    NOT_RECORDED = "not_recorded"


_NOTES = ("note", "anomaly", "limit")


@dataclass(frozen=True)
class Run:
    """A run as reports describe it.

    ``last`` is the last recorded moment (None: no iteration). An ending that is not recorded
    means that the process was killed, or that the run is still going on; a failed one that the
    recording ended before the run. ``is_whole`` is False where the trace reached its size limit.
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


def run_of(reader: TraceReader, source: str) -> Run:
    """Describe the run behind a trace."""
    header, events = reader.header, tuple(reader.events())
    end = next((event for event in reversed(events) if event.name in ("begin", "end")), None)
    is_ended = end is not None and end.name == "end"
    return Run(
        source=source,
        framework=header.framework,
        versions=dict(header.versions),
        model_name=header.model_name,
        model_class=header.model_class,
        n_layers=sum(layer.index >= 0 for layer in header.layers),
        n_iterations=reader.n_iterations,
        last=_last_moment(reader),
        ending=_ending(end.details) if end is not None and is_ended else Ending.NOT_RECORDED,
        ending_message=_message(end, events) if end is not None and is_ended else "",
        notes=tuple(event.message for event in events if event.name in _NOTES),
        is_whole=all(event.name != "limit" for event in events),
    )


def _ending(details: Mapping[str, Any]) -> Ending:
    status = details.get("status")
    return Ending(status) if status in set(Ending) else Ending.COMPLETED


def _message(end: Event, events: tuple[Event, ...]) -> str:
    exceptions = [event.message for event in events if event.name == "exception"]
    return end.message or (exceptions[-1] if exceptions else "")


def _last_moment(reader: TraceReader) -> Moment | None:
    n = reader.n_iterations
    if not n:
        return None
    row = reader.iterations(n - 1, n)
    return Moment(int(row["iteration"][0]), int(row["epoch"][0]), int(row["batch"][0]))
