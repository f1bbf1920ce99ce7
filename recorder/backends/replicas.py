"""One step from what the replicas of a distributed step each computed of it.

The trace of a distributed training is that of the same training on one device: what has a sample
axis is put together to the whole batch, in the order of the replicas; losses and gradients by
weights, of which each replica has its share, are added up; metrics are averaged, as Keras
reports them. Weights, updates and state are the same everywhere, and those of the first replica.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplocalize.traces.schema import Kind

from ..plan import Plan
from ..session import Session
from ..step_values import StepValues
from .step_tensors import Tapped

Reduction = Callable[[Sequence[NDArray[Any]]], NDArray[Any]]


def reduction_of(tapped: Tapped, has_running_loss: bool) -> Reduction:
    """How the parts of a tensor become the whole.

    Parameters
    ----------
    has_running_loss
        Whether the loss comes from Keras's running sums, which hold that of each replica in full.
    """
    if tapped.kind.has_sample_axis or tapped.is_rows:
        return _concatenated
    if tapped.kind is Kind.METRIC or (tapped.kind is Kind.LOSS and has_running_loss):
        return _mean
    if tapped.kind in (Kind.LOSS, Kind.WEIGHT_GRADIENT):
        return _sum
    return _first


def _concatenated(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(parts) if parts[0].ndim else parts[0]


def _mean(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.asarray(np.mean(parts, axis=0, dtype=parts[0].dtype))


def _sum(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.asarray(np.sum(parts, axis=0, dtype=parts[0].dtype))


def _first(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return parts[0]


@dataclass(frozen=True)
class Part:
    """What one replica computed of a step."""

    plan: Plan
    values: StepValues


class Replicas:
    """Collects the parts of steps, which the replicas hand over at their own pace.

    Parameters
    ----------
    session
        Who takes the whole steps.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._waiting: dict[int, deque[Part]] = {}
        self._lock = threading.Lock()

    def hand_over(
        self, part: Part, reductions: Sequence[Reduction], replica: int, n_replicas: int
    ) -> None:
        """Take a part; the last one completes the step."""
        with self._lock:
            self._waiting.setdefault(replica, deque()).append(part)
            if len(self._waiting) < n_replicas or not all(self._waiting.values()):
                return
            parts = [self._waiting[i].popleft() for i in range(n_replicas)]
            try:
                values = _whole(parts, reductions)
            except Exception as error:  # the outermost tap: it must not stop a training
                self._session.failed(error)
            else:
                self._session.step(parts[0].plan, values)


def _whole(parts: Sequence[Part], reductions: Sequence[Reduction]) -> StepValues:
    first = parts[0]
    if any(not np.array_equal(part.plan.series, first.plan.series) for part in parts):
        raise ValueError("the replicas of a step have different tensors")
    columns = zip(*(part.values.tensors for part in parts), strict=True)
    tensors = [reduce(column) for reduce, column in zip(reductions, columns, strict=True)]
    is_loss_known = all(part.values.is_loss_known for part in parts)
    return replace(first.values, tensors=tensors, is_loss_known=is_loss_known)
