"""Take care of what a training hands over while the training goes on.

Knows nothing of steps: a task is a function without arguments.
"""

import os
import queue
import threading
from collections.abc import Callable

Task = Callable[[], object]

# Chosen on two cores: below, as for a small dense network, a thread's waking up and its turns with
# Python's global lock took as long as they saved.
_WORTH_A_THREAD_BYTES = 2 << 20
# Of larger steps no second one is kept in memory. (The ring holds up to 256 MiB by default.)
_TOO_LARGE_BYTES = 384 << 20


class Background:
    """Runs tasks one after another, in a thread of its own where that pays.

    A task is begun when the one before it has ended: a training that is faster than its recorder
    is held up, rather than memory growing.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._queue: queue.Queue[Task | None] = queue.Queue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._raised: BaseException | None = None

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
        """Return once all tasks have ended, and raise what one of them raised.

        Does nothing when called by one of them.
        """
        if self._is_own and self._thread is not threading.current_thread():
            self._queue.join()
            raised, self._raised = self._raised, None
            if raised is not None:
                raise raised

    def close(self) -> None:
        """Wait for all tasks, and end the thread."""
        self.wait()
        if self._is_own:
            with self._lock:
                thread, self._thread = self._thread, None
            if thread is not None:
                self._queue.put(None)

    @property
    def _is_own(self) -> bool:
        # A forked process has the tasks, and not the thread: they are its parent's.
        return self._process == os.getpid()

    def _has_thread(self) -> bool:
        if self._thread is None and self._is_own:
            thread = threading.Thread(target=self._work, name="deeplocalize-step", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is about to exit, or there are too many
                return False
            self._thread = thread
        return self._is_own

    def _work(self) -> None:
        while True:
            task = self._queue.get()
            try:
                if task is None:
                    return
                task()
            except BaseException as error:  # for whoever waits: this thread has to go on
                self._raised = error
            finally:
                del task  # and the tensors with it
                self._queue.task_done()
