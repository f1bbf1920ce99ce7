"""What happens within a step of JAX's that XLA has compiled, from a copy of it.

Every further output of a compiled step may change how XLA fuses it, and so its rounding. The
step itself is left alone, therefore; an instrumented copy, compiled by itself, runs on the same
state and data first. A step of JAX's is a pure function, so the copy draws the same random
numbers and leaves nothing behind. It has no optimizer: XLA drops what nobody asks for.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from deeplocalize.traces.header import Unrecorded

from ..keras_model import PlacedLayer
from .closed_step import unrecorded
from .jax_patches import StepPatches
from .step_tensors import StepTensors, Tapped

TENSOR_TYPES = (jax.Array, np.ndarray)

_EFFECTS = "the step has effects (as of jax.debug.print), which a copy of it would repeat"


@dataclass(frozen=True)
class _Form:
    """What a copy hands out, for data of one shape; the tensors without their values."""

    tapped: Sequence[Tapped]
    missed: Sequence[Unrecorded]
    has_effects: bool = False


class Replay:
    """An instrumented copy of a model's train step."""

    def __init__(self, model: Any, placed: Sequence[PlacedLayer]) -> None:
        self._model = model
        self._placed = placed
        self._copy = jax.jit(self._run)
        self._forms: dict[Any, _Form] = {}
        self._traced = _Form((), ())

    def __call__(self, tensors: StepTensors, state: Any, data: Any) -> None:
        """Stash what the step that comes next will see within.

        Raises whatever the step would raise, and what is wrong with the copy alone.
        """
        form = self._form(state, data)
        if form.has_effects:
            tensors.missed += unrecorded(_EFFECTS)
            return
        values, tensors.loss, tensors.learning_rate, tensors.loss_scale = self._copy(state, data)
        tensors.tapped += [
            replace(one, value=value) for one, value in zip(form.tapped, values, strict=True)
        ]
        tensors.missed += form.missed

    def _form(self, state: Any, data: Any) -> _Form:
        leaves, structure = jax.tree.flatten(data)
        key = structure, tuple((x.shape, x.dtype) for x in leaves)
        if key not in self._forms:
            traced = self._copy.trace(state, data)
            self._forms[key] = replace(self._traced, has_effects=bool(traced.jaxpr.effects))
        return self._forms[key]

    def _run(self, state: Any, data: Any) -> Any:
        """The body of the copy; Python runs it once per shape of the data."""
        tensors = StepTensors(TENSOR_TYPES)
        patches = StepPatches(self._model, self._placed, tensors, data, state)
        # The user's own trace of the step is to find the same numbers.
        randomness = random.getstate(), np.random.get_state()
        try:
            with patches.applied():
                self._model.train_step(state, data)
        finally:
            random.setstate(randomness[0])
            np.random.set_state(randomness[1])
        patches.end_step()
        patches.leave_out_inner_calls()
        if tensors.failure is not None:
            raise tensors.failure
        without = [replace(one, value=None) for one in tensors.tapped]
        self._traced = _Form(without, tensors.missed)
        values = [one.value for one in tensors.tapped]
        return values, tensors.loss, tensors.learning_rate, tensors.loss_scale
