"""What a header says about the optimizer, in the words that evidence and fixes use."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deeplocalize.traces.header import Header

USUAL_RATES: dict[str, tuple[float, float]] = {
    "SGD": (1e-4, 0.5),
    "Adagrad": (1e-3, 0.5),
    "Adadelta": (0.05, 2.0),
    "Ftrl": (1e-3, 0.5),
    "Lion": (1e-6, 3e-3),
}
"""Learning rates that trainings usually have (Bengio 2012, 'Practical recommendations', and the
papers of the optimizers); those of the family of Adam below."""

USUAL_ADAPTIVE_RATES = (1e-5, 0.03)


@dataclass(frozen=True)
class OptimizerFacts:
    """Class, learning rate, momentum and configuration; None where a header does not say."""

    class_name: str
    learning_rate: float | None
    momentum: float = 0.0
    config: Mapping[str, Any] = field(default_factory=dict)

    def setting(self, name: str) -> float | None:
        """A number of the configuration; None where it has none of that name."""
        value = self.config.get(name)
        return float(value) if isinstance(value, int | float) else None

    def with_rate(self, factor: float) -> str:
        """Keras code that makes this optimizer with another learning rate, left open.

        The rate is a usual one, unless there is none on the way from the present one: where the
        factor alone does not lead to one, that in the middle (of their logarithms).
        """
        if self.learning_rate is None:
            return f"keras.optimizers.{self.class_name}(learning_rate=..."
        rate, (low, high) = self.learning_rate * factor, self.usual_rates
        if factor < 1 and self.learning_rate > low:
            rate = max(rate, low) if rate <= high else math.sqrt(low * high)
        elif factor > 1 and self.learning_rate < high:
            rate = min(rate, high) if rate >= low else math.sqrt(low * high)
        return f"keras.optimizers.{self.class_name}(learning_rate={rate:.2g}"

    @property
    def usual_rates(self) -> tuple[float, float]:
        """Smallest and largest usual learning rate; momentum multiplies the step."""
        low, high = USUAL_RATES.get(self.class_name, USUAL_ADAPTIVE_RATES)
        if self.class_name == "SGD":
            gain = max(1.0 - self.momentum, 1e-6)
            return low * gain, min(high, 4 * high * gain)
        return low, high

    @property
    def excess(self) -> float:
        """The learning rate relative to the largest usual one; 0 where it is not known."""
        return (self.learning_rate or 0.0) / self.usual_rates[1]

    @property
    def is_fast(self) -> bool:
        """Whether the learning rate is above what is usual."""
        return self.excess > 1

    @property
    def is_slow(self) -> bool:
        """Whether the learning rate is below what is usual."""
        return self.learning_rate is not None and self.learning_rate < self.usual_rates[0]

    def __str__(self) -> str:
        if self.learning_rate is None:
            return self.class_name
        return f"{self.class_name} with learning rate {self.learning_rate:.3g}" + (
            f" and momentum {self.momentum:g}" if self.momentum else ""
        )


def optimizer_facts(header: Header) -> OptimizerFacts:
    """The optimizer of a header, whether it holds a serialised object or a bare config."""
    optimizer = header.optimizer or {}
    given = optimizer.get("config", optimizer)
    config: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    rate: Any = config.get("learning_rate")
    name = optimizer.get("class_name") or config.get("name") or "SGD"
    named = {"sgd": "SGD", "adam": "Adam", "rmsprop": "RMSprop"}.get(str(name), str(name))
    is_number = isinstance(rate, int | float) and not isinstance(rate, bool)
    momentum = config.get("momentum") if named == "SGD" else 0.0
    return OptimizerFacts(
        named,
        float(rate) if is_number else None,
        float(momentum) if isinstance(momentum, int | float) else 0.0,
        dict(config),
    )
