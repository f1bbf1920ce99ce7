"""What the training thread hands over comes into the trace, in its order."""

import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeplocalize.recorder.budget import Budget
from deeplocalize.recorder.options import Options
from deeplocalize.recorder.recording import Recording
from deeplocalize.recorder.row import N_COLUMNS, Row
from deeplocalize.recorder.session import Session
from deeplocalize.recorder.step_values import StepNumbers
from deeplocalize.traces import Header, Kind, Series, open_trace
from deeplocalize.traces.files import create_writer
from deeplocalize.traces.schema import RunStatus

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


@pytest.mark.parametrize(
    ("ended_s", "batches", "expected_s"),
    [
        ([10.0, 11.5, 80.0, 81.0, 90.0], [0, 1, 0, 1, 0], [1.5, 1.5, 1.0, 1.0]),
        ([10.0, 12.0, 13.0, 20.0], [0, 0, 0, 0], [2.0, 1.0, 1.0]),  # epochs of one step
    ],
)
def test_a_budget_is_of_the_steps_without_what_lies_between_epochs(
    ended_s: list[float],
    batches: list[int],
    expected_s: list[float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elapsed_s: list[float] = []
    monkeypatch.setattr(Budget, "elapse", lambda self, seconds: elapsed_s.append(seconds))
    monkeypatch.setattr(Recording, "elapsed_s", 100.0)
    session = Session(create_writer(tmp_path / "run.h5"), Header(), Options(budget=0.1))
    plan = session.plan([Series(Kind.LOSS, 0)], ())
    for epoch, (at_s, batch) in enumerate(zip(ended_s, batches, strict=True)):
        if batch == 0:
            session.begin_epoch(epoch)
        session.left_out(plan, [(StepNumbers(0.0, 10), 100.0 - at_s)])
    assert elapsed_s == expected_s
    session.close(RunStatus.COMPLETED)


def test_the_time_of_writing_beside_the_training_is_spent_from_its_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent_s: list[float] = []
    monkeypatch.setattr(Budget, "spend_beside", lambda self, seconds: spent_s.append(seconds))
    monkeypatch.setattr("deeplocalize.recorder.recording.threading.Thread.start", lambda self: None)
    writer = create_writer(tmp_path / "run.h5")
    session = Session(writer, Header(), Options(budget=0.1))
    plan = session.plan([Series(Kind.LOSS, 0)], ())
    for writing_s in (0.0, 0.25, 0.25, 1.0):
        session._recording.writing_s = writing_s
        session.left_out(plan, [(StepNumbers(0.0, 10), 0.0)])
    assert spent_s == [0.0, 0.25, 0.0, 0.75]
    writer.close()


def test_how_long_a_program_took_to_compile_does_not_add_to_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elapsed_s: list[float] = []
    monkeypatch.setattr(Budget, "elapse", lambda self, seconds: elapsed_s.append(seconds))
    monkeypatch.setattr(Recording, "elapsed_s", 100.0)
    session = Session(create_writer(tmp_path / "run.h5"), Header(), Options(budget=0.1))
    whole, smaller = (session.plan([Series(Kind.LOSS, 0)], ()) for _ in range(2))
    for plan, at_s in [(whole, 10.0), (whole, 11.0), (smaller, 50.0), (whole, 51.0), (smaller, 53)]:
        session.left_out(plan, [(StepNumbers(0.0, 10), 100.0 - at_s)])
    assert elapsed_s == [1.0, 1.0, 1.0, 2.0]
    session.close(RunStatus.COMPLETED)


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
