"""What is recorded of a training, as `Recorder` documents it."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np

from .budget import Budget
from .ring import DEFAULT_BYTES
from .schedule import Schedule, always, in_words, name_of


@dataclass(frozen=True)
class Options:
    """The arguments of `Recorder` that say what to record.

    None stands for never or without a limit, and of ``ring_iterations`` for `n_in_ring`.
    """

    schedule: Schedule | Mapping[str, Schedule] | None = None
    tensors: Schedule | None = None
    ring_iterations: int | None = None
    ring_bytes: int = DEFAULT_BYTES
    trigger: Callable[[int, float], bool] | None = None
    budget: float | None = None
    max_bytes: int | None = None
    exact: Schedule | None = None
    histograms: Schedule | None = None

    def __post_init__(self) -> None:
        schedules: dict[str, Any] = {"schedule": self.schedule}
        if isinstance(self.schedule, Mapping):
            if astray := [key for key in self.schedule if not isinstance(key, str)]:
                raise TypeError(f"schedule[{astray[0]!r}]: wanted a pattern of names, as 'conv*'")
            schedules = {f"schedule[{key!r}]": one for key, one in self.schedule.items()}
        schedules |= {"tensors": self.tensors, "exact": self.exact, "histograms": self.histograms}
        for name, given in schedules.items():
            if given is not None and not callable(given):
                or_a_truth_value = "True, False or " if name in ("exact", "histograms") else ""
                raise TypeError(
                    f"{name}={given!r}: wanted {or_a_truth_value}a function of the iteration, such "
                    "as every(10) of deeplocalize.recorder.schedule"
                )
            if given is not None and not _takes(given, 1):
                raise TypeError(
                    f"{name}={given!r}: wanted a function of the iteration, and of nothing else"
                )
        if self.trigger is not None and not _takes(self.trigger, 2):
            raise TypeError(
                f"trigger={self.trigger!r}: wanted a function of the iteration and its loss"
            )
        if self.ring_iterations is not None:
            check_whole_number("ring_iterations", self.ring_iterations, least=0)
        _check_bytes("ring_bytes", self.ring_bytes, least=0)
        if self.max_bytes is not None:
            _check_bytes("max_bytes", self.max_bytes, least=1)
        if self.budget is not None:
            _check_is_number("budget", self.budget)
            Budget(self.budget)

    @property
    def n_in_ring(self) -> int | None:
        """How many iterations the ring holds; None for what `Ring` holds by itself.

        Under a budget it is one, so that the next step takes the same memory again while caches
        hold it, unless a trigger wants those before.
        """
        if self.ring_iterations is None and self.budget is not None and self.trigger is None:
            return 1
        return self.ring_iterations

    @property
    def asks_for_tensors(self) -> bool:
        """Whether all tensors of a step may be wanted in full, though nothing breaks."""
        return any(one is not None for one in (self.tensors, self.histograms, self.trigger))

    def described(self) -> dict[str, Any]:
        """What the header says of when and how much was recorded, as `n_in_ring` settles it."""
        return {
            "statistics": name_of(self.schedule or always),
            "tensors": name_of(self.tensors),
            "histograms": name_of(self.histograms),
            "ring_iterations": None if self.n_in_ring is None else int(self.n_in_ring),
            "ring_bytes": int(self.ring_bytes),
            "budget": None if self.budget is None else float(self.budget),
            "max_bytes": None if self.max_bytes is None else int(self.max_bytes),
            "exact": None if self.exact is None else in_words(self.exact),
        }


def _takes(given: object, n_arguments: int) -> bool:
    """Whether something can be called with so many arguments, as far as it says."""
    if not callable(given):
        return False
    try:
        inspect.signature(given).bind(*range(n_arguments))
    except TypeError:
        return False
    except ValueError:  # written in C, some do not say what they take
        pass
    return True


def check_truth_value(name: str, given: object) -> None:
    """Raise TypeError, with the option's name, where it is none."""
    if not isinstance(given, bool | np.bool_):
        raise TypeError(f"{name}={given!r}: wanted True or False")


def check_whole_number(name: str, given: object, least: int) -> None:
    """Raise TypeError or ValueError, with the option's name, where it is none of that size."""
    if not isinstance(given, Integral) or isinstance(given, bool):
        raise TypeError(f"{name}={given!r}: wanted a whole number")
    if given < least:
        raise ValueError(f"{name}={given}: wanted {least} or more")


def _check_bytes(name: str, given: object, least: int) -> None:
    """As for whole numbers; one may also be written as 2e9."""
    _check_is_number(name, given)
    assert isinstance(given, Real)
    if not float(given).is_integer():
        raise ValueError(f"{name}={given}: wanted a whole number of bytes")
    check_whole_number(name, int(float(given)), least)


def _check_is_number(name: str, given: object) -> None:
    if not isinstance(given, Real) or isinstance(given, bool):
        raise TypeError(f"{name}={given!r}: wanted a number")
