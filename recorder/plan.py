"""The forms that a step takes, and the series that they add to a trace.

A framework may trace several forms of one step, say for a last, smaller batch. What they have in
common is one series.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from deeplocalize.traces.header import Series, Unrecorded
from deeplocalize.traces.schema import EventName, Kind

from .data_summary import DataSummarizer
from .measurement import Measurement
from .recording import Recording
from .schedule import Schedule, always, schedule_of, unmatched
from .warning import warn

_DATA_KINDS = (Kind.INPUT, Kind.LABEL, Kind.SAMPLE_WEIGHT)


@dataclass(frozen=True)
class Plan:
    """The series of one traced form of the step, and what measures them.

    ``replay``: those that only a replay of the step gives.
    """

    series: NDArray[np.intp]
    kinds: Sequence[Kind]
    measurement: Measurement
    data: Sequence[tuple[int, DataSummarizer]]
    loss: int | None
    first_input: int | None
    replay: "Plan | None" = None


class Plans:
    """Declares the series of each form of the step.

    Parameters
    ----------
    recording
        Whose header gets the series.
    schedule
        When statistics are taken, as `Recorder` documents it.
    """

    def __init__(
        self, recording: Recording, schedule: Schedule | Mapping[str, Schedule] | None
    ) -> None:
        self._recording = recording
        self._schedule = schedule
        self._is_checked = False
        self._known: dict[tuple[Kind, int | None, int, str], int] = {}
        self._summarizers: dict[int, DataSummarizer] = {}

    def add(self, step: Sequence[Series], missed: Sequence[Unrecorded]) -> Plan:
        """Declare the tensors of a step, in execution order, and what is not among them."""
        self._check_schedule()
        series = self._declare(step)
        self._note_unrecorded(missed)
        replayed = np.array([one.replayed for one in step], bool)
        header, schedule = self._recording.header, self._schedule
        plan = self._plan(
            series[~replayed],
            [
                (one, schedule_of(one, header.layer_of(one), schedule))
                for one in step
                if not one.replayed
            ],
        )
        if not replayed.any():
            return plan
        # When there is a replay, all that it gives is recorded.
        replay = self._plan(series[replayed], [(one, always) for one in step if one.replayed])
        return replace(plan, replay=replay)

    def update_data_summary(self) -> None:
        """Put into the header what the data looked like so far."""
        data = tuple(s.summary() for s in self._summarizers.values())
        if data != self._recording.header.data:
            self._recording.set_header(replace(self._recording.header, data=data))

    def _check_schedule(self) -> None:
        """Say, in the trace and to the person, which patterns match nothing."""
        if self._is_checked:
            return
        self._is_checked = True
        header = self._recording.header
        astray = unmatched(self._schedule, header.layers)
        if not astray:
            return
        patterns = ", ".join(
            f"{pattern!r} (did you mean {name!r}?)" if name else repr(pattern)
            for pattern, name in astray.items()
        )
        message = f"schedule: no layer, kind or class matches {patterns}"
        described = {**header.schedule, "unmatched": list(astray)}
        self._recording.set_header(replace(header, schedule=described))
        self._recording.event(EventName.NOTE, message, {"unmatched": list(astray)})
        warn(f"deeplocalize: {message}")

    def _plan(self, series: NDArray[np.intp], step: Sequence[tuple[Series, Schedule]]) -> Plan:
        kinds = [one.kind for one, _ in step]
        return Plan(
            series,
            kinds,
            Measurement(kinds, [schedule for _, schedule in step]),
            [
                (k, self._summarizer(int(series[k]), one))
                for k, (one, _) in enumerate(step)
                if one.kind in _DATA_KINDS
            ],
            kinds.index(Kind.LOSS) if Kind.LOSS in kinds else None,
            kinds.index(Kind.INPUT) if Kind.INPUT in kinds else None,
        )

    def _declare(self, step: Sequence[Series]) -> NDArray[np.intp]:
        """Indices of the series; new ones take the position of the one before them."""
        is_first = not self._known
        declared = self._recording.header.series
        position = 0
        new: list[Series] = []
        indices: list[int] = []
        for rank, one in enumerate(step):
            key = (one.kind, one.layer, one.call, one.tensor)
            index = self._known.get(key)
            if index is not None:
                position = declared[index].position
            else:
                position = rank if is_first else position
                index = len(declared) + len(new)
                self._known[key] = index
                new.append(replace(one, position=position))
            indices.append(index)
        if new:
            header = self._recording.header
            self._recording.set_header(header.with_series(tuple(new)))
        return np.array(indices, np.intp)

    def _note_unrecorded(self, missed: Sequence[Unrecorded]) -> None:
        header = self._recording.header
        new = [one for one in dict.fromkeys(missed) if one not in header.unrecorded]
        if new:
            self._recording.set_header(replace(header, unrecorded=(*header.unrecorded, *new)))

    def _summarizer(self, series: int, one: Series) -> DataSummarizer:
        if series not in self._summarizers:
            self._summarizers[series] = DataSummarizer(one.kind, one.tensor, one.shape, one.dtype)
        return self._summarizers[series]
