"""What the training thread hands over comes into the trace, in its order."""

import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeplocalize.recorder.options import Options
from deeplocalize.recorder.recording import Recording
from deeplocalize.recorder.row import N_COLUMNS, Row
from deeplocalize.recorder.session import Session
from deeplocalize.traces import Header, Kind, Series, open_trace
from deeplocalize.traces.files import create_writer

EMPTY_ROW = Row(np.empty(0, np.intp), np.empty((0, N_COLUMNS), np.int64))


def test_a_block_handed_over_as_the_writer_stops_waiting_comes_before_what_follows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late: list[Callable[[], None]] = []

    class LateQueue(queue.Queue[Any]):
        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            if late:
                late.pop()()
                raise queue.Empty
            return super().get(block, timeout)

    monkeypatch.setattr("deeplocalize.recorder.recording.queue.Queue", LateQueue)
    recording = Recording(create_writer(tmp_path / "run.h5"), Header())
    is_done = threading.Event()

    def between() -> None:
        recording.append(EMPTY_ROW)
        recording._hand_over()
        recording.append(EMPTY_ROW)
        is_done.set()

    late.append(between)
    assert is_done.wait(timeout=60)
    recording.close()
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.iterations["iteration"].tolist() == [0, 1]


def test_a_schedule_that_fails_ends_the_recording_and_not_the_training(tmp_path: Path) -> None:
    def fail(iteration: int) -> bool:
        raise ValueError("not today")

    session = Session(create_writer(tmp_path / "run.h5"), Header(), Options(schedule=fail))
    session.plan([Series(Kind.LOSS, 0)], ())
    with pytest.warns(RuntimeWarning, match="not today"):
        assert not session.is_due()
    assert not session.is_open
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.ended == {"status": "failed"}
