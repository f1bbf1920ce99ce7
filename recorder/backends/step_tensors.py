"""The tensors of one train step of Keras on their way out of it, whatever the framework."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import keras
import numpy as np

from deeplocalize.traces.header import Unrecorded
from deeplocalize.traces.schema import Kind

Order = tuple[float, ...]
"""Sorts tensors by their place in the execution of one step."""


class Rank(IntEnum):
    """The parts of a step in their order; the first entry of every `Order`."""

    INPUT = 0
    WEIGHT = 1
    FORWARD = 2
    LOSS = 3
    METRIC = 4
    BACKWARD = 5
    UPDATE = 6
    STATE = 7


@dataclass(frozen=True)
class Tapped:
    """One tensor of the step; ``minus`` is to be subtracted from it first (updates).

    ``is_rows``: these are rows of a sparse gradient, not the whole of it.
    """

    kind: Kind
    layer: int | None
    call: int
    tensor: str
    order: Order
    value: Any
    minus: Any = None
    is_rows: bool = False


@dataclass
class StepTensors:
    """Everything stashed from one run of the body.

    ``tensor_types`` are the framework's dense tensors; of anything else, only arrays of the batch
    are recorded.
    ``is_loss_known`` belongs to a loss from Keras's running sums: whether it means anything this
    time, a truth value of the framework's.
    """

    tensor_types: tuple[type, ...]
    tapped: list[Tapped] = field(default_factory=list)
    missed: list[Unrecorded] = field(default_factory=list)
    loss: Any = None
    is_loss_known: Any = None
    learning_rate: Any = None
    loss_scale: Any = None
    failure: Exception | None = None

    @contextlib.contextmanager
    def noting_failure(self) -> Iterator[None]:
        """Keeps an exception of ours from reaching the training; the first one is remembered."""
        try:
            yield
        except Exception as error:  # the outermost tap: a failing recorder must not stop a training
            self.failure = self.failure or error

    def add(
        self,
        kind: Kind,
        layer: int | None,
        tensor: str,
        order: Order,
        value: Any,
        minus: Any = None,
        call: int = 0,
        is_rows: bool = False,
    ) -> None:
        """Stash a tensor."""
        self.tapped.append(Tapped(kind, layer, call, tensor, order, value, minus, is_rows))


def tap_batch(tensors: StepTensors, data: Any) -> None:
    """Stash the numeric tensors of a batch.

    A step that is not compiled gets what a loop of the user's hands over: arrays, as a rule.
    """
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    order = 0
    for kind, part in ((Kind.INPUT, x), (Kind.SAMPLE_WEIGHT, sample_weight), (Kind.LABEL, y)):
        for name, value in named_leaves(part):
            tensor = value if isinstance(value, tensors.tensor_types) else _converted(value)
            if tensor is None:
                tensors.missed.append(Unrecorded(kind, None, f"it is {_described(value)}"))
            elif is_numeric(tensor):
                tensors.add(kind, None, name, (Rank.INPUT, order), tensor)
                order += 1


def _converted(value: Any) -> Any:
    """An array as a tensor of the framework's; None where it holds no numbers that this one has.

    A copy: frameworks may share an array's memory, which a loop may fill anew.
    """
    if not hasattr(value, "__array__"):
        return None
    try:
        array = np.array(value)
        return keras.ops.convert_to_tensor(array) if is_numeric(array) else None
    except (TypeError, ValueError, NotImplementedError):
        return None


def _described(value: Any) -> str:
    is_array = isinstance(value, np.ndarray)
    return f"an array of {value.dtype}" if is_array else f"a {type(value).__name__}"


def tap_metrics(tensors: StepTensors, logs: Any) -> None:
    """Stash the scalars that the step reports."""
    if isinstance(logs, dict):
        # JAX hands back dictionaries sorted: the loss first, as Keras lists it elsewhere.
        for i, name in enumerate(sorted(logs, key=lambda name: (name != "loss", str(name)))):
            value = logs[name]
            is_tensor = isinstance(value, tensors.tensor_types)
            if is_tensor and is_numeric(value) and len(value.shape) == 0:
                tensors.add(Kind.METRIC, None, str(name), (Rank.METRIC, i), value)


def tap_loss(tensors: StepTensors, loss: Any) -> None:
    """Stash the loss of the batch, where there is one."""
    if loss is not None:
        tensors.add(Kind.LOSS, None, "", (Rank.LOSS,), loss)


def is_numeric(value: Any) -> bool:
    """Whether statistics can be taken of a tensor."""
    name = dtype_name(value)
    return name == "bool" or name.startswith(("float", "bfloat", "int", "uint"))


def is_floating(value: Any) -> bool:
    """Whether a tensor can have a gradient."""
    return dtype_name(value).startswith(("float", "bfloat"))


def dtype_name(value: Any) -> str:
    """A tensor's element type as NumPy spells it."""
    return str(getattr(value.dtype, "name", value.dtype)).removeprefix("torch.")


def named_leaves(structure: Any) -> list[tuple[str, Any]]:
    """Leaves of a nested structure with names: empty for a single leaf, keys or indices else."""
    if structure is None:
        return []
    leaves = keras.tree.flatten(structure)
    if len(leaves) == 1:
        return [("", leaves[0])]
    if isinstance(structure, dict) and len(structure) == len(leaves):
        return [(str(key), structure[key]) for key in sorted(structure)]
    return [(str(i), leaf) for i, leaf in enumerate(leaves) if leaf is not None]
