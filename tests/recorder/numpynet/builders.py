"""Small networks and data, and a tap that keeps everything."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from deeplocalize.recorder.numpynet import Dense, Layer, Sequential
from deeplocalize.recorder.numpynet.arrays import Array
from deeplocalize.traces.schema import Kind


def classifier(optimizer: str = "sgd", seed: int | None = 0) -> Sequential:
    """Four features, a hidden layer, three classes."""
    network = Sequential(seed=seed)
    network.add(Dense(6, "relu", input_shape=(4,), name="hidden"))
    network.add(Dense(3, "softmax", name="classes"))
    network.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    return network


def samples(n: int) -> tuple[Array, Array]:
    """Vectors (n, 4) whose largest of three entries is the class, and one-hot labels (n, 3)."""
    x = np.random.default_rng(1).normal(size=(n, 4)).astype("float32")
    return x, np.eye(3, dtype="float32")[x[:, :3].argmax(axis=1)]


@dataclass(frozen=True)
class Seen:
    """One tensor as it was handed over, with a copy of its values at that moment."""

    kind: Kind
    layer: str | None
    tensor: str
    values: Array
    copy: Array


@dataclass
class Keeper:
    """A tap that keeps what it sees."""

    seen: list[Seen] = field(default_factory=list)
    steps: list[Mapping[str, float]] = field(default_factory=list)

    def __call__(self, kind: Kind, layer: Layer | None, tensor: str, values: Array) -> None:
        name = None if layer is None else layer.name
        self.seen.append(Seen(kind, name, tensor, values, values.copy()))

    def end_step(self, metrics: Mapping[str, float]) -> None:
        self.steps.append(metrics)

    def values(self, kind: Kind, layer: str | None = None, tensor: str = "") -> Array:
        """The one tensor seen under that description."""
        (found,) = (s for s in self.seen if (s.kind, s.layer, s.tensor) == (kind, layer, tensor))
        return found.values
