"""Learning rates in the course of a run, at a few places of it."""

import math
from dataclasses import dataclass

import numpy as np

from deeplocalize.traces.interface import TraceReader

N_PLACES = 16


@dataclass(frozen=True)
class Rates:
    """Learning rates at places evenly spread over a run; only finite ones, in order."""

    values: tuple[float, ...] = ()

    @property
    def largest(self) -> float:
        """The largest of them; 0 without any."""
        return max(self.values, default=0.0)

    def share_below(self, rate: float) -> float:
        """The share of the run at whose places the rate is below the given one."""
        return sum(value < rate for value in self.values) / max(len(self.values), 1)


def rates_of(reader: TraceReader) -> Rates:
    """Read the learning rate at `N_PLACES` places of a trace, or at all if there are fewer."""
    n = reader.n_iterations
    places = np.unique(np.linspace(0, max(n - 1, 0), min(N_PLACES, n)).astype(int)).tolist()
    values = (float(reader.iterations(row, row + 1)["learning_rate"][0]) for row in places)
    return Rates(tuple(value for value in values if math.isfinite(value)))
