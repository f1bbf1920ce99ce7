"""Tensors that come one by one, gathered into steps for a session."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from deeplocalize.traces.header import Series
from deeplocalize.traces.schema import Kind, Phase

from .plan import Plan
from .session import Session
from .step_values import StepValues

_PHASES = list(Phase)
Key = tuple[Kind, Any, str]
"""Kind, layer and name of a tensor."""

Placed = Iterable[tuple[int, Key]]
"""Tensors to record: their place among those that came, and their key with the layer's index."""


@dataclass(frozen=True)
class _Form:
    """One form that a step takes: which tensors came, their plan, and their order in it."""

    keys: list[Key]
    plan: Plan
    order: list[int]


class StepCollector:
    """Hands over a step once all its tensors are there.

    Tensors of one phase are recorded in the order in which they came, phases in the order of
    `Phase`. The same tensor twice is a further call of its layer.

    Parameters
    ----------
    session
        Who takes the steps.
    choose
        Which of the tensors are recorded, asked once for each form of the step; default: all.
    """

    def __init__(
        self, session: Session, choose: Callable[[Sequence[Key]], Placed] = enumerate
    ) -> None:
        self._session = session
        self._choose = choose
        self._forms: list[_Form] = []
        self._keys: list[Key] = []
        self._values: list[NDArray[Any]] = []

    @property
    def has_tensors(self) -> bool:
        """Whether any came since the last step."""
        return bool(self._keys)

    def add(self, kind: Kind, layer: Any, tensor: str, values: NDArray[Any]) -> None:
        """Take a tensor, which must not change any more."""
        self._keys.append((kind, layer, tensor))
        self._values.append(values)

    def drop_step(self) -> None:
        """Forget the tensors since the last step."""
        self._keys, self._values = [], []

    def end_step(self, learning_rate: float = float("nan")) -> None:
        """Hand over the step; never raises."""
        if self._session.is_open:
            try:
                form = self._form()
            except Exception as error:  # the outermost tap
                self._session.failed(error)
            else:
                values = [self._values[i] for i in form.order]
                nothing = [None] * len(values)
                self._session.step(form.plan, StepValues(values, nothing, learning_rate))
        self.drop_step()

    def _form(self) -> _Form:
        for form in self._forms:
            if form.keys == self._keys:
                return form
        placed = sorted(self._choose(self._keys), key=lambda one: _PHASES.index(one[1][0].phase))
        n_seen: dict[Key, int] = {}
        series = []
        for i, key in placed:
            call = n_seen[key] = n_seen.get(key, -1) + 1
            series.append(_series(*key, call, self._values[i]))
        form = _Form(self._keys, self._session.plan(series, ()), [i for i, _ in placed])
        self._forms.append(form)
        return form


def _series(kind: Kind, layer: int | None, tensor: str, call: int, values: NDArray[Any]) -> Series:
    shape: tuple[int | None, ...] = values.shape
    if shape and kind.has_sample_axis:
        shape = (None, *shape[1:])
    return Series(kind, 0, layer, call, tensor, shape, values.dtype.name)
