"""Do something once an object is gone, though not where the garbage collector notices.

It may run in any thread and at any moment: in the thread that writes a trace, or in a training that
holds a lock of h5py's. Whoever closes a trace there waits for that very thread, or that very lock.
"""

import _thread
import atexit
import weakref
from collections.abc import Callable

_under_way: list[_thread.LockType] = []


def call_when_gone(thing: object, callback: Callable[[], None]) -> Callable[[], object]:
    """Call back, in a thread of its own, once nothing refers to an object any more.

    Not at the end of the process, which waits for what has begun, though. The callback must not
    refer to the object, and must not raise. Returns what calls it off.
    """
    atexit.unregister(wait)
    atexit.register(wait)
    finalizer = weakref.finalize(thing, _begin, callback)
    finalizer.atexit = False
    return finalizer.detach


def wait() -> None:
    """Wait for the callbacks that have begun."""
    for done in tuple(_under_way):
        with done:
            pass


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
    except RuntimeError:  # the process is ending
        _under_way.remove(done)
