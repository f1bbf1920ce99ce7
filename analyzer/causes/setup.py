"""What a header says about optimizer and inputs, in the words that evidence and fixes use."""

from dataclasses import dataclass

from deeplocalize.traces.header import DataSummary, Header
from deeplocalize.traces.schema import Kind

# Standardised inputs stay below about 5, images in bytes reach 255.
LARGE_INPUT = 20.0


@dataclass(frozen=True)
class OptimizerFacts:
    """Class and learning rate of the optimizer; None where a header does not say."""

    class_name: str
    learning_rate: float | None

    def with_rate(self, factor: float) -> str:
        """Keras code that makes this optimizer with another learning rate."""
        rate = "..." if self.learning_rate is None else f"{self.learning_rate * factor:.2g}"
        return f"keras.optimizers.{self.class_name}(learning_rate={rate}"

    def __str__(self) -> str:
        if self.learning_rate is None:
            return self.class_name
        return f"{self.class_name} with learning rate {self.learning_rate:.3g}"


def optimizer_facts(header: Header) -> OptimizerFacts:
    """The optimizer of a header, whether it holds a serialised object or a bare config."""
    optimizer = header.optimizer or {}
    config = optimizer.get("config", optimizer)
    rate = config.get("learning_rate")
    name = optimizer.get("class_name") or config.get("name") or "SGD"
    named = {"sgd": "SGD", "adam": "Adam", "rmsprop": "RMSprop"}.get(str(name), str(name))
    is_number = isinstance(rate, int | float) and not isinstance(rate, bool)
    return OptimizerFacts(named, float(rate) if is_number else None)


def large_input(header: Header) -> DataSummary | None:
    """The input of the largest magnitude, if that is far from a standardised one."""
    inputs = [summary for summary in header.data if summary.role is Kind.INPUT]
    largest = max(inputs, key=magnitude, default=None)
    # Integer inputs may be tokens for an embedding, which have no scale.
    if largest is None or magnitude(largest) <= LARGE_INPUT or _is_embedded(header):
        return None
    return largest


def magnitude(summary: DataSummary) -> float:
    """Largest finite magnitude that a summary knows of."""
    return max(abs(summary.min or 0.0), abs(summary.max or 0.0))


def _is_embedded(header: Header) -> bool:
    return any(layer.class_name == "Embedding" for layer in header.layers)
