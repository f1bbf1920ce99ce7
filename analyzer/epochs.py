"""What was measured once an epoch: the mean loss, the metrics, and those of validation."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from deeplocalize.traces.interface import TraceReader


@dataclass(frozen=True)
class Epochs:
    """The logs of the epochs that ended, in order; only finite numbers are in them.

    ``n_last_batches`` is how many batches of its epoch the last iteration had behind it,
    itself included.
    """

    logs: tuple[Mapping[str, float], ...] = ()
    n_last_batches: int = 0

    def curve(self, name: str) -> list[float]:
        """A measure over the epochs that have it."""
        return [logs[name] for logs in self.logs if name in logs]

    @property
    def accuracies(self) -> list[str]:
        """Names of the accuracies of training."""
        names = dict.fromkeys(name for logs in self.logs for name in logs)
        return [name for name in names if "acc" in name and not name.startswith("val_")]


def epochs_of(reader: TraceReader) -> Epochs:
    """The epochs of a trace, as far as they were noted."""
    found = []
    for event in reader.events():
        logs = event.details.get("logs") if event.name == "epoch" else None
        if isinstance(logs, Mapping):
            found.append({str(name): float(v) for name, v in logs.items() if _is_finite(v)})
    last = reader.iterations(max(reader.n_iterations - 1, 0), reader.n_iterations)
    return Epochs(tuple(found), int(last["batch"][0]) + 1 if len(last) else 0)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
