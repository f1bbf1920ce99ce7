"""Do something once an object is gone, though not where the garbage collector notices.

It may run in any thread and at any moment: in the thread that writes a trace, or in a training that
holds a lock of h5py's. Whoever closes a trace there waits for that very thread, or that very lock.
"""

import _thread
import atexit
import functools
import os
import weakref
from collections.abc import Callable

_under_way: list[_thread.LockType] = []
_put_off: list[Callable[[], None]] = []


def call_when_gone(thing: object, callback: Callable[[], None]) -> Callable[[], object]:
    """Call back, in a thread of its own, once nothing refers to an object any more.

    Not for what the end of the process takes with it, though it waits for what has begun. Where
    no thread can be had, the callback is called at the end of the process. It must not refer to
    the object, and must not raise. Returns what calls it off.
    """
    _begin_anew_in_forks()
    # What was registered last runs first: wait before open traces are closed, and all they need.
    atexit.unregister(wait)
    atexit.register(wait)
    finalizer = weakref.finalize(thing, _begin, callback)
    finalizer.atexit = False
    return finalizer.detach


def wait() -> None:
    """Wait for the callbacks that have begun, and call those that could not begin."""
    for done in tuple(_under_way):
        with done:
            pass
    while _put_off:
        _put_off.pop(0)()


@functools.cache
def _begin_anew_in_forks() -> None:
    # A forked process has none of the threads; the traces are its parent's to close.
    os.register_at_fork(after_in_child=_under_way.clear)
    os.register_at_fork(after_in_child=_put_off.clear)


def _begin(callback: Callable[[], None]) -> None:
    done = _thread.allocate_lock()
    done.acquire()
    _under_way.append(done)

    def run() -> None:
        try:
            callback()
        finally:
            _under_way.remove(done)
            done.release()

    try:  # not threading.Thread, which takes a lock that the interrupted code may hold
        _thread.start_new_thread(run, ())
    except RuntimeError:  # there are as many threads as there may be, or the process is ending
        _under_way.remove(done)
        _put_off.append(callback)
