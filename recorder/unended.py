"""How a recording ends that nobody ends: with its recorder, or at the latest with the process."""

import atexit
import functools
import sys
import weakref
from collections.abc import Callable
from typing import Protocol

from deeplocalize.traces.schema import RunStatus

from .ending import ending_of
from .when_gone import call_when_gone


class Leave(Protocol):
    """A recorder's method that ends its recording."""

    def __call__(self, status: RunStatus, message: str = "") -> None:
        """End it, as this and for this reason."""


def end_at_the_latest(
    recorder: object, leave: Leave, close: Callable[[], None]
) -> Callable[[], None]:
    """End a recording when its recorder is gone, or with the process; returns what calls it off.

    Parameters
    ----------
    recorder
        Is not kept by this.
    leave
        Its method, called when the process ends. Must not raise.
    close
        Closes the trace once the recorder is gone, to which it must not refer. Must not raise.
    """
    at_exit = functools.partial(_at_exit, weakref.WeakMethod(leave))
    atexit.register(at_exit)
    keep_open = call_when_gone(recorder, close)

    def call_off() -> None:
        atexit.unregister(at_exit)
        keep_open()

    return call_off


def _at_exit(reference: Callable[[], Leave | None]) -> None:
    leave = reference()
    if leave is None:
        return
    # What Python could not handle is kept there by the time at which it exits.
    error = getattr(sys, "last_value", None)
    if isinstance(error, BaseException):
        leave(*ending_of(error))
    else:
        leave(RunStatus.EXCEPTION, "the process ended within the training")
