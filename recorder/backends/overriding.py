"""Attributes of other people's objects, replaced for a while.

Several replacements of one attribute may begin and end in any order: the replicas of a
distributed step are traced in threads that take turns.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

Wrap = Callable[[Any], Any]

_lock = threading.RLock()


class _Replacement:
    """One attribute, and what it is wrapped in."""

    def __init__(self, thing: Any, name: str) -> None:
        self._thing, self._name = thing, name
        self._is_own = name in vars(thing)
        self._original = getattr(thing, name)
        self._wraps: list[Wrap] = []

    def add(self, wrap: Wrap) -> None:
        self._wraps.append(wrap)
        self._put()

    def remove(self, wrap: Wrap) -> bool:
        """Whether the attribute is as it was."""
        self._wraps.remove(wrap)
        self._put()
        return not self._wraps

    def _put(self) -> None:
        value = self._original
        for wrap in self._wraps:
            value = wrap(value)
        if isinstance(self._thing, type):
            setattr(self._thing, self._name, value)
        elif self._wraps or self._is_own:
            self._thing.__dict__[self._name] = value  # past Keras's attribute tracking
        else:
            self._thing.__dict__.pop(self._name, None)


_replacements: dict[tuple[int, str], _Replacement] = {}


@contextlib.contextmanager
def overridden(thing: Any, name: str, wrap: Wrap) -> Iterator[None]:
    """An attribute of an object, or of a class that defines it, wrapped while the context lasts."""
    key = id(thing), name
    with _lock:
        if key not in _replacements:
            _replacements[key] = _Replacement(thing, name)
        _replacements[key].add(wrap)
    try:
        yield
    finally:
        with _lock:
            if _replacements[key].remove(wrap):
                del _replacements[key]
