"""What is recorded of a training, as `Recorder` documents it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

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
