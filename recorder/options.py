"""What is recorded of a training, as `Recorder` documents it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .budget import Budget
from .ring import DEFAULT_BYTES
from .schedule import Schedule, always, in_words, name_of


@dataclass(frozen=True)
class Options:
    """The arguments of `Recorder` that say what to record; None for never or without a limit."""

    schedule: Schedule | Mapping[str, Schedule] | None = None
    tensors: Schedule | None = None
    ring_bytes: int = DEFAULT_BYTES
    trigger: Callable[[int, float], bool] | None = None
    budget: float | None = None
    max_bytes: int | None = None
    exact: Schedule | None = None
    histograms: Schedule | None = None

    def __post_init__(self) -> None:
        schedules = self.schedule.values() if isinstance(self.schedule, Mapping) else ()
        for name, given in (
            *(("schedule", one) for one in schedules or (self.schedule,)),
            ("tensors", self.tensors),
            ("trigger", self.trigger),
            ("exact", self.exact),
            ("histograms", self.histograms),
        ):
            if given is not None and not callable(given):
                raise TypeError(
                    f"{name}={given!r}: wanted a function of the iteration, such as every(10) of "
                    "deeplocalize.recorder.schedule"
                )
        _check_number("ring_bytes", self.ring_bytes, least=0)
        if self.max_bytes is not None:
            _check_number("max_bytes", self.max_bytes, least=1)
        if self.budget is not None:
            _check_number("budget", self.budget, least=0)
            Budget(self.budget)

    @property
    def asks_for_tensors(self) -> bool:
        """Whether all tensors of a step may be wanted in full, though nothing breaks."""
        return any(one is not None for one in (self.tensors, self.histograms, self.trigger))

    def described(self) -> dict[str, Any]:
        """What the header says of when and how much was recorded."""
        return {
            "statistics": name_of(self.schedule or always),
            "tensors": name_of(self.tensors),
            "histograms": name_of(self.histograms),
            "ring_bytes": self.ring_bytes,
            "budget": self.budget,
            "max_bytes": self.max_bytes,
            "exact": None if self.exact is None else in_words(self.exact),
        }


def _check_number(name: str, given: object, least: int) -> None:
    if not isinstance(given, int | float):
        raise TypeError(f"{name}={given!r}: wanted a number")
    if not given >= least:
        raise ValueError(f"{name}={given}: wanted {least} or more")
