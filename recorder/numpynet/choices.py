"""Choosing by name among the losses, optimizers, activations and so on."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar

T = TypeVar("T")


def choose(what: str, name: object, known: Mapping[str, T]) -> T:
    """The entry of ``known`` under ``name`` (upper and lower case are the same).

    Raises
    ------
    ValueError
        There is none; the message lists those that there are, closest first.
    """
    key = str(name).lower()
    if isinstance(name, str) and key in known:
        return known[key]
    close = get_close_matches(key, known, n=3)
    hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    raise ValueError(f"unknown {what} {name!r}; {hint}known are {', '.join(sorted(known))}")
