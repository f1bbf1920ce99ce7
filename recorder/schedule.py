"""When something is recorded: schedules over iterations, for all series or for some."""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from numbers import Integral
from typing import Any

import numpy as np

from deeplocalize.traces.header import Layer, Series
from deeplocalize.traces.schema import Kind

Schedule = Callable[[int], bool]
"""Says for an iteration, counted from 0, whether something is due."""

SPARSE_EVERY = 100
"""Replays cost about a step each: every 100th and the powers of two are below 2% in a long run."""


def is_due(schedule: Callable[..., Any], *given: float) -> bool:
    """What a schedule says of an iteration, or a trigger of one and its loss; nothing means no.

    Raises
    ------
    TypeError
        It says neither yes nor no: it returns one more function, perhaps.
    """
    said = schedule(*given)
    if said is None:  # `if loss > 5: return True`, and that is all
        return False
    # Numbers will do, and what libraries have for a truth value, as `numpy.isin` does.
    if not isinstance(said, bool):
        array = np.asarray(said).reshape(-1)
        if array.size != 1 or array.dtype.kind not in "biu":
            call = f"{name_of(schedule)}({', '.join(map(str, given))})"
            raise TypeError(f"{call} gives {said!r}: wanted True or False")
        said = array[0]
    return bool(said)


def always(iteration: int) -> bool:
    """Due in every iteration."""
    return True


def every(n: int | np.integer[Any]) -> Schedule:
    """Due in iterations 0, n, 2n, ...; ValueError for what is no whole number above 0."""
    if not isinstance(n, Integral) or isinstance(n, bool) or n < 1:
        raise ValueError(f"every({n!r}): wanted a number of iterations, 1 or more, as in every(10)")
    return _named(f"every({n})", lambda iteration: iteration % n == 0)


def first(n: int) -> Schedule:
    """Due in the first n iterations."""
    return _named(f"first({n})", lambda iteration: iteration < n)


def powers_of_two(iteration: int) -> bool:
    """Due in iterations 0, 1, 2, 4, 8, ..."""
    return iteration & (iteration - 1) == 0


def sparse(iteration: int) -> bool:
    """Due in iterations 0, 1, 2, 4, 8, ... and in every 100th."""
    return powers_of_two(iteration) or iteration % SPARSE_EVERY == 0


def in_words(schedule: Schedule) -> str:
    """A schedule in words, as far as it is one of ours."""
    if schedule is sparse:
        return f"iterations 0, 1, 2, 4, 8, ... and every {SPARSE_EVERY}th"
    if schedule is powers_of_two:
        return "iterations 0, 1, 2, 4, 8, ..."
    return "every iteration" if schedule is always else "iterations of the user's choice"


def name_of(schedule: Schedule | Mapping[str, Schedule] | None) -> Any:
    """What a header calls a schedule: its name, or those of several by pattern; None for None."""
    if schedule is None:
        return None
    if isinstance(schedule, Mapping):
        return {pattern: name_of(one) for pattern, one in schedule.items()}
    return getattr(schedule, "__name__", type(schedule).__name__)


def _named(name: str, schedule: Schedule) -> Schedule:
    schedule.__name__ = name
    return schedule


def due_of(schedule: Schedule | bool) -> Schedule | None:
    """The schedule that an option means by True (always) and False (None: never)."""
    return always if schedule is True else schedule or None


def schedule_of(
    series: Series, layer: Layer | None, schedules: Schedule | Mapping[str, Schedule] | None
) -> Schedule:
    """The schedule of one series.

    Parameters
    ----------
    schedules
        One for all; or by pattern (as file names have them: ``conv*``), of which the first counts
        that matches the series' kind or its layer's name, path or class. Every iteration where
        none does.
    """
    if schedules is None:
        return always
    if not isinstance(schedules, Mapping):
        return schedules
    names = [str(series.kind), *(() if layer is None else _names_of(layer))]
    for pattern, schedule in schedules.items():
        if _matches(pattern, names):
            return schedule
    return always


def unmatched(
    schedules: Schedule | Mapping[str, Schedule] | None, layers: Iterable[Layer]
) -> dict[str, str]:
    """Patterns that match no kind and no layer, each with the name most like it; "" for none."""
    names = [*map(str, Kind), *(name for layer in layers for name in _names_of(layer))]
    patterns = schedules if isinstance(schedules, Mapping) else ()
    return {
        pattern: next(iter(get_close_matches(pattern, names, n=1)), "")
        for pattern in patterns
        if not _matches(pattern, names)
    }


def _matches(pattern: str, names: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names)


def _names_of(layer: Layer) -> tuple[str, str, str]:
    return layer.name, layer.path, layer.class_name
