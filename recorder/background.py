"""Take care of what a training hands over while the training goes on.

Knows nothing of steps: a task is a function without arguments, which does not raise.
"""

import os
import queue
import threading
from collections.abc import Callable

Task = Callable[[], object]

# Waking a thread up takes as long as measuring less than this, and so do its turns with Python's
# global lock.
_WORTH_A_THREAD_BYTES = 2 << 20
# Of larger steps no second one is kept in memory.
_TOO_LARGE_BYTES = 384 << 20


class Background:
    """Runs tasks one after another, in a thread of its own where that pays.

    A task is begun when the one before it has ended: a training that is faster than its recorder
    is held up, rather than memory growing.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._queue: queue.Queue[Task | None] = queue.Queue()
        self._thread: threading.Thread | None = None

    def run(self, task: Task, n_bytes: int) -> None:
        """Run a task, now or soon, once earlier ones have ended.

        Parameters
        ----------
        n_bytes
            What it works on, and keeps in memory until its end.
        """
        self.wait()
        if _WORTH_A_THREAD_BYTES <= n_bytes <= _TOO_LARGE_BYTES and self._has_thread():
            self._queue.put(task)
        else:
            task()

    def wait(self) -> None:
        """Return once all tasks have ended. Does nothing when called by one of them."""
        # A forked process has the tasks, and not the thread: they are its parent's.
        if self._thread is not threading.current_thread() and self._process == os.getpid():
            self._queue.join()

    def close(self) -> None:
        """Wait for all tasks, and end the thread."""
        self.wait()
        if self._thread is not None:
            self._thread = None
            self._queue.put(None)

    def _has_thread(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._work, name="deeplocalize-step", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is about to exit
                return False
            self._thread = thread
        return True

    def _work(self) -> None:
        while (task := self._queue.get()) is not None:
            task()
            del task  # and the tensors with it
            self._queue.task_done()
        self._queue.task_done()
