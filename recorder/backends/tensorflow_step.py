"""A traced step of TensorFlow: its tensors, its numbers, and the series that they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from deeplocalize.traces.header import Series
from deeplocalize.traces.schema import Kind

from ..plan import Plan
from .step_tensors import StepTensors, Tapped

Arrays = Sequence[NDArray[Any]]


@dataclass(frozen=True)
class TracedStep:
    """What a step hands over: tensors in the order of their plan, and numbers.

    ``numbers``: learning rate, loss scale, whether the loss is known.
    """

    plan: Plan
    tapped: Sequence[Tapped]
    numbers: Sequence[tf.Tensor]


def numbers_in(tensors: StepTensors) -> list[tf.Tensor]:
    """The numbers of a step."""
    learning_rate, loss_scale = tensors.learning_rate, tensors.loss_scale
    is_loss_known = tensors.is_loss_known
    return [
        tf.constant(float("nan")) if learning_rate is None else learning_rate,
        tf.constant(1.0) if loss_scale is None else loss_scale,
        tf.constant(True) if is_loss_known is None else is_loss_known,
    ]


def numbers_of(arrays: Arrays) -> dict[str, Any]:
    """Those numbers as `StepValues` has them."""
    learning_rate, loss_scale, is_loss_known = arrays
    return {
        "learning_rate": float(learning_rate),
        "loss_scale": float(loss_scale),
        "is_loss_known": bool(is_loss_known),
    }


class Distinct:
    """Tensors without repetition: a weight is both observed and subtracted from its successor.

    ``places``, ``places_of_minus``: for each series, which of the tensors it is, and which is
    subtracted.
    """

    def __init__(self, tapped: Sequence[Tapped]) -> None:
        pairs = [(one.value, one.minus) for one in tapped]
        distinct = {id(value): value for pair in pairs for value in pair if value is not None}
        self.tensors = list(distinct.values())
        place = {key: k for k, key in enumerate(distinct)}
        self.places = [place[id(value)] for value, _ in pairs]
        self.places_of_minus = [None if minus is None else place[id(minus)] for _, minus in pairs]

    def spread(self, arrays: Arrays) -> tuple[Arrays, Sequence[NDArray[Any] | None]]:
        """What the tensors are as arrays, with repetition: values, and what is subtracted."""
        minus = [None if k is None else arrays[k] for k in self.places_of_minus]
        return [arrays[k] for k in self.places], minus


def series_of(
    tapped: Sequence[Tapped],
    replayed: Sequence[Tapped],
    owners: Sequence[int | None],
    has_replicas: bool,
) -> list[Series]:
    """All series of a step, in the order of execution; the checks of a replay come last.

    Parameters
    ----------
    owners
        The layer that each check speaks for.
    """
    are_replayed = {id(one) for one in replayed}
    series = [
        Series(
            t.kind,
            k,
            t.layer,
            t.call,
            t.tensor,
            _shape(t, has_replicas),
            t.value.dtype.name,
            id(t) in are_replayed,
        )
        for k, t in enumerate(sorted((*tapped, *replayed), key=lambda t: t.order))
    ]
    checks = [
        Series(Kind.REPLAY_ERROR, len(series) + k, owner, 0, "", (None,), "int64", replayed=True)
        for k, owner in enumerate(owners)
    ]
    return [*series, *checks]


def _shape(tapped: Tapped, has_replicas: bool) -> tuple[int | None, ...]:
    shape = tuple(tapped.value.shape)
    if shape and has_replicas and (tapped.kind.has_sample_axis or tapped.is_rows):
        return (None, *shape[1:])  # a replica sees a part of the batch
    return shape
