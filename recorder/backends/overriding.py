"""Attributes of other people's objects, replaced for a while."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def replaced(owner: type, name: str, wrap: Callable[[Any], Any]) -> Iterator[None]:
    """An attribute of a class replaced while the context lasts."""
    original = getattr(owner, name)
    setattr(owner, name, wrap(original))
    try:
        yield
    finally:
        setattr(owner, name, original)


@contextlib.contextmanager
def overridden(thing: Any, name: str, wrap: Callable[[Any], Any]) -> Iterator[None]:
    """An attribute of one object replaced, past Keras's attribute tracking."""
    had = name in thing.__dict__
    original = getattr(thing, name)
    thing.__dict__[name] = wrap(original)
    try:
        yield
    finally:
        if had:
            thing.__dict__[name] = original
        else:
            thing.__dict__.pop(name, None)
