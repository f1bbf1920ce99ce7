"""Tasks in the background: in order, one at a time, and never waited for by themselves."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from deeplocalize.recorder.background import Background
from deeplocalize.recorder.options import Options
from deeplocalize.recorder.plan import Plan
from deeplocalize.recorder.session import Session
from deeplocalize.recorder.step_values import StepValues
from deeplocalize.traces import open_trace
from deeplocalize.traces.files import create_writer
from deeplocalize.traces.header import Header, Series
from deeplocalize.traces.schema import Kind, RunStatus

SMALL, LARGE, HUGE = 1000, 4 << 20, 1 << 40


def large_step(session: Session) -> Plan:
    return session.plan([Series(Kind.OUTPUT, 0, shape=(None, 1024), dtype="float32")], ())


def large_values(value: float) -> StepValues:
    return StepValues([np.full((1024, 1024), value, np.float32)], [None])


def test_tasks_of_every_size_run_in_their_order() -> None:
    background = Background()
    done: list[int] = []
    for i, n_bytes in enumerate([LARGE, SMALL, LARGE, HUGE, LARGE]):
        background.run(lambda i=i: done.append(i), n_bytes)  # type: ignore[misc]  # mypy: default
    background.wait()
    assert done == [0, 1, 2, 3, 4]
    background.close()


def test_the_training_goes_on_while_a_large_task_runs_and_waits_before_the_next() -> None:
    background = Background()
    goes_on, done = threading.Event(), []
    background.run(lambda: done.append(goes_on.wait(timeout=60)), LARGE)
    assert not done
    goes_on.set()
    background.run(lambda: done.append(False), SMALL)
    assert done == [True, False]
    background.close()


def test_a_task_that_waits_for_all_tasks_does_not_wait_for_itself() -> None:
    background = Background()
    done: list[None] = []
    background.run(lambda: done.append(background.wait()), LARGE)  # type: ignore[func-returns-value]
    background.close()
    assert done == [None]


def test_after_the_end_tasks_run_at_once() -> None:
    background = Background()
    background.run(lambda: None, LARGE)
    background.close()
    background.close()
    done: list[int] = []
    background.run(lambda: done.append(1), SMALL)
    assert done == [1]


def test_what_a_task_raises_is_raised_where_it_is_waited_for_and_later_tasks_run() -> None:
    background = Background()
    background.run(lambda: sys.exit("as a schedule of the user's may"), LARGE)
    with pytest.raises(SystemExit):
        background.wait()
    done: list[int] = []
    background.run(lambda: done.append(1), LARGE)
    background.close()
    assert done == [1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_process_does_not_wait_for_its_parents_tasks() -> None:
    script = """
import os, threading
from deeplocalize.recorder.background import Background
background, ends = Background(), threading.Event()
background.run(ends.wait, 4 << 20)
child = os.fork()
if not child:
    done = []
    background.run(lambda: done.append(0), 4 << 20)
    background.close()
    os._exit(7 if done else 8)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
ends.set()
background.close()
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_large_steps_are_recorded_in_order_with_their_batches(tmp_path: Path) -> None:
    session = Session(create_writer(tmp_path / "run.h5"), Header())
    plan = large_step(session)
    for epoch in range(2):
        session.begin_epoch(epoch)
        for i in range(3):
            session.step(plan, large_values(10 * epoch + i))
        session.end_epoch(epoch, {})
    session.close(RunStatus.COMPLETED)
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.iterations["batch"].tolist() == [0, 1, 2, 0, 1, 2]
        statistics = trace.statistics(kind="output")
        assert statistics["mean"].tolist() == [0, 1, 2, 10, 11, 12]


def test_a_failure_in_the_background_ends_the_recording_with_one_warning(tmp_path: Path) -> None:
    session = Session(create_writer(tmp_path / "run.h5"), Header())
    plan = large_step(session)
    session.step(plan, large_values(1))
    with pytest.warns(RuntimeWarning, match="stopped recording") as warned:
        session.step(plan, StepValues(large_values(2).tensors, []))
        session.close(RunStatus.COMPLETED)
    assert len(warned) == 1
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.n_iterations == 1
        assert trace.ended == {"status": "failed"}


def test_a_failure_in_the_background_of_an_eager_training_does_not_hold_it_up(
    tmp_path: Path,
) -> None:
    script = f"""
import time
import keras, numpy as np
import conftest
from deeplocalize.recorder import Recorder
from deeplocalize.recorder.step_recording import StepRecording
def broken(*arguments):
    time.sleep(0.5)  # until the next step waits for this one
    raise RuntimeError("a defect")
StepRecording.record = broken
model = keras.Sequential([keras.Input((512,)), keras.layers.Dense(2048), keras.layers.Dense(1)])
model.compile("sgd", "mse", run_eagerly=True)
recorder = Recorder({str(tmp_path / "run.h5")!r})
model.fit(np.ones((8, 512)), np.ones(8), batch_size=2, verbose=0, callbacks=[recorder])
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, check=True, timeout=120, capture_output=True, text=True)
    assert done.stderr.count("stopped recording") == 1


def test_a_failure_elsewhere_loses_no_step_under_way(tmp_path: Path) -> None:
    goes_on = threading.Event()
    schedule = lambda iteration: iteration < 1 or goes_on.wait(timeout=60)  # noqa: E731
    session = Session(create_writer(tmp_path / "run.h5"), Header(), Options(schedule=schedule))
    plan = large_step(session)
    session.step(plan, large_values(1))
    session.step(plan, large_values(2))
    failing = threading.Thread(target=session.failed, args=[RuntimeError("a defect")])
    with pytest.warns(RuntimeWarning, match="a defect"):
        failing.start()
        goes_on.set()
        failing.join(timeout=60)
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.n_iterations == 2


def test_somebody_who_waits_for_a_step_gets_it_at_once(tmp_path: Path) -> None:
    threads: list[threading.Thread] = []

    def trigger(iteration: int, loss: float) -> bool:
        threads.append(threading.current_thread())
        return False

    session = Session(create_writer(tmp_path / "run.h5"), Header(), Options(trigger=trigger))
    plan = large_step(session)
    session.step(plan, large_values(1))
    assert threads == [threading.current_thread()]
    session.close(RunStatus.COMPLETED)


def test_the_size_of_a_step_counts_every_array_once() -> None:
    before, after = np.zeros(10), np.ones(10)
    assert StepValues([before, after], [None, before]).n_bytes == 160
    assert StepValues([after], [before]).n_bytes == 160


def test_the_last_large_step_is_kept_when_the_process_ends_within_the_training(
    tmp_path: Path,
) -> None:
    script = """
import sys, atexit
import numpy as np
from deeplocalize.recorder.session import Session
from deeplocalize.recorder.step_values import StepValues
from deeplocalize.traces.files import create_writer
from deeplocalize.traces.header import Header, Series
from deeplocalize.traces.schema import Kind, RunStatus

session = Session(create_writer(sys.argv[1]), Header())
plan = session.plan([Series(Kind.OUTPUT, 0, shape=(None, 1024), dtype="float32")], ())

def leave():
    for i in range(3):
        session.step(plan, StepValues([np.full((2048, 1024), i, np.float32)], [None]))
    session.close(RunStatus.EXCEPTION)

atexit.register(leave)  # when threads can no longer be started by an executor
"""
    path = tmp_path / "run.h5"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, timeout=60)
    with open_trace(path) as trace:
        assert trace.statistics(kind="output")["mean"].tolist() == [0, 1, 2]
