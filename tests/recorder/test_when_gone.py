"""What is done once an object is gone waits for nobody who is interrupted by it."""

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from deeplocalize.recorder import when_gone
from deeplocalize.recorder.options import Options
from deeplocalize.recorder.session import Session
from deeplocalize.recorder.when_gone import call_when_gone
from deeplocalize.traces import Header, RunStatus, create_writer, open_trace


class Thing:
    """Refers to itself: only the garbage collector ends it."""

    def __init__(self) -> None:
        self.itself = self


class CollectingWriter:
    """Another writer, while which writes the garbage is collected."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def flush(self) -> None:
        gc.collect()
        self._writer.flush()


def test_a_trace_is_closed_though_its_own_writer_notices(tmp_path: Path) -> None:
    closed = threading.Event()
    gc.disable()  # so that it is the writer that collects
    try:
        thing = Thing()
        session: Session

        def close() -> None:
            session.close(RunStatus.COMPLETED)
            closed.set()

        call_when_gone(thing, close)
        began = threading.Event()
        writer: Any = CollectingWriter(create_writer(tmp_path / "run.h5"))
        original = writer.flush

        def flush() -> None:
            began.wait()
            original()

        writer.flush = flush
        session = Session(writer, Header(framework="test"), Options())
        del thing
        began.set()
        assert closed.wait(60)
    finally:
        gc.enable()
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.ended == {"status": "completed"}


def test_a_lock_that_is_held_does_not_keep_the_collector_waiting() -> None:
    lock, called = threading.Lock(), threading.Event()

    def callback() -> None:
        with lock:
            called.set()

    call_when_gone(Thing(), callback)
    with lock:
        gc.collect()
        assert not called.is_set()
    when_gone.wait()
    assert called.is_set()


def test_what_was_called_off_is_not_called() -> None:
    called = threading.Event()
    call_when_gone(Thing(), called.set)()
    gc.collect()
    when_gone.wait()
    assert not called.is_set()


def test_what_finds_no_thread_is_called_at_the_end_of_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called: list[int] = []

    def refuse(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("deeplocalize.recorder.when_gone._thread.start_new_thread", refuse)
    call_when_gone(Thing(), lambda: called.append(1))
    gc.collect()
    assert not called
    when_gone.wait()
    when_gone.wait()
    assert called == [1]


FORK = """
import os, signal, sys, threading
from deeplocalize.recorder.when_gone import call_when_gone

class Thing:
    pass

began, may_end = threading.Event(), threading.Event()

def callback():
    began.set()
    may_end.wait()

thing = Thing()
call_when_gone(thing, callback)
del thing
began.wait()
child = os.fork()
if not child:
    signal.alarm(60)  # ends it, should it wait for its parent's callback
    sys.exit(0)
_, status = os.waitpid(child, 0)
may_end.set()
sys.exit(status != 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
def test_a_forked_process_does_not_wait_for_what_its_parent_began() -> None:
    assert subprocess.run([sys.executable, "-c", FORK], check=False).returncode == 0
