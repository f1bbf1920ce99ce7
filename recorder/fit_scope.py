"""Notice how a ``fit`` ends that Keras's callbacks do not hear about.

Keras calls ``on_train_end`` only when all goes well. An exception comes from the batch iterator
or from one of the callbacks, or at the latest takes the list of callbacks, which only ``fit``
holds, with it. Both are reached through the frame of the running ``fit``.
"""

import contextlib
import functools
import sys
import weakref
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from .when_gone import call_when_gone

_HOOKS = (
    "on_epoch_begin",
    "on_epoch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_begin",
    "on_test_batch_begin",
    "on_test_batch_end",
    "on_test_end",
)


def watch_fit(
    model: Any,
    on_exception: Callable[[BaseException], None],
    detach: Callable[[], None],
    on_gone: Callable[[], None],
) -> None:
    """Call back when the running ``fit`` of a model is left by an exception, or is gone.

    To be called from within ``fit`` (from a callback's hook). The last two are called after every
    end, also a normal one: ``detach`` at once, wherever that is noticed, so it must wait for
    nothing; ``on_gone`` in another thread, in which a next ``fit`` may have begun meanwhile. None
    of them may raise.
    """
    frame = _fit_frame(model)
    if frame is None:
        return
    variables = frame.f_locals
    iterator = variables.get("epoch_iterator")
    if hasattr(iterator, "catch_stop_iteration"):
        _watch_iterator(iterator, on_exception)
    callbacks = variables.get("callbacks")
    if callbacks is not None:
        _watch_callbacks(callbacks, on_exception)
        with contextlib.suppress(TypeError):  # a plain list cannot be referred to weakly
            call_when_gone(callbacks, on_gone)
            weakref.finalize(callbacks, detach).atexit = False


def _watch_iterator(iterator: Any, on_exception: Callable[[BaseException], None]) -> None:
    original = iterator.catch_stop_iteration

    @contextlib.contextmanager
    def catch_stop_iteration() -> Iterator[None]:
        try:
            with original():
                yield
        except BaseException as error:
            on_exception(error)
            raise

    iterator.catch_stop_iteration = catch_stop_iteration


def _watch_callbacks(callbacks: Any, on_exception: Callable[[BaseException], None]) -> None:
    def watched(hook: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(hook)
        def call(*args: Any, **kwargs: Any) -> None:
            try:
                hook(*args, **kwargs)
            except BaseException as error:
                on_exception(error)
                raise

        return call

    for name in _HOOKS:
        vars(callbacks).pop(name, None)  # of an earlier fit with a list of the user's own
        with contextlib.suppress(AttributeError):  # not Keras's list
            setattr(callbacks, name, watched(getattr(callbacks, name)))


def _fit_frame(model: Any) -> FrameType | None:
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "fit" and frame.f_locals.get("self") is model:
            return frame
        frame = frame.f_back
    return None
