"""Hand executed steps over to a session, for frameworks whose tensors have values by then.

(A TensorFlow graph is announced once and hands over by itself: `tensorflow_handover.py`.)
"""

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from deeplocalize.traces.header import Series
from deeplocalize.traces.schema import Kind

from ..plan import Plan
from ..session import Session
from ..step_values import StepValues
from .step_tensors import StepTensors, Tapped, dtype_name

_Form = tuple[tuple[Kind, int | None, int, str], ...]
"""Which tensors a step has, in their order."""


class StepHandover:
    """Hands over one step after another.

    Parameters
    ----------
    session
        Who takes them.
    array_of
        A tensor as an array that does not change any more.
    """

    def __init__(self, session: Session, array_of: Callable[[Any], NDArray[Any]]) -> None:
        self._session = session
        self._array_of = array_of
        self._plans: dict[_Form, Plan] = {}

    def __call__(self, tensors: StepTensors) -> None:
        """Hand over a step; never raises."""
        with tensors.noting_failure():
            if tensors.failure is None:
                self._hand_over(tensors)
        if tensors.failure is not None:
            self._session.failed(tensors.failure)

    def _hand_over(self, tensors: StepTensors) -> None:
        tapped = sorted(tensors.tapped, key=lambda t: t.order)
        form = tuple((t.kind, t.layer, t.call, t.tensor) for t in tapped)
        if form not in self._plans:
            series = [_series(one) for one in tapped]
            self._plans[form] = self._session.plan(series, tensors.missed)
        # A weight is both recorded and subtracted from its successor: one array for both.
        pairs = [(t.value, t.minus) for t in tapped]
        given = {id(value): value for pair in pairs for value in pair if value is not None}
        arrays = {key: self._array_of(value) for key, value in given.items()}
        values = StepValues(
            [arrays[id(value)] for value, _ in pairs],
            [None if minus is None else arrays[id(minus)] for _, minus in pairs],
            self._number(tensors.learning_rate, float("nan")),
            self._number(tensors.loss_scale, 1.0),
            bool(self._number(tensors.is_loss_known, 1.0)),
        )
        self._session.step(self._plans[form], values)

    def _number(self, value: Any, missing: float) -> float:
        return missing if value is None else float(self._array_of(value))


def _series(tapped: Tapped) -> Series:
    shape: tuple[int | None, ...] = tuple(tapped.value.shape)
    if shape and tapped.kind.has_sample_axis:
        shape = (None, *shape[1:])
    dtype = dtype_name(tapped.value)
    return Series(tapped.kind, 0, tapped.layer, tapped.call, tapped.tensor, shape, dtype)
