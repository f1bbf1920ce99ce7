"""A copy of an XLA-compiled step that also hands out what happens within it.

Every further output of a compiled step may change how XLA fuses it, and so its rounding. The
step itself is left alone, therefore. Where a replay is due, all variables are set back to what
they were before the step, an instrumented copy of it runs on the same batch, and the variables
get their values again. Whether the copy left in them what the step had left tells whether it
was the same step, bit by bit.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from deeplocalize.traces.header import Unrecorded

from .closed_step import INNER_KINDS
from .step_tensors import Tapped
from .tensorflow_repetition import Replayed
from .tensorflow_tap import StepTap


class StepReplay:
    """An instrumented copy of a compiled step, to be used in the graph around that step.

    Parameters
    ----------
    tap, train_step
        Of the model.
    step
        The compiled step itself, a ``tf.function``.
    data
        The batch, as the graph knows it.
    """

    def __init__(
        self,
        tap: StepTap,
        train_step: Callable[[Any], Any],
        step: Any,
        data: Any,
    ) -> None:
        self._tap = tap
        self._train_step = train_step
        self._data = data
        self.tapped: Sequence[Tapped] = ()
        """What the copy hands out, in the order of execution, as its own graph knows it."""
        self.missed: Sequence[Unrecorded] = ()
        # The step first: what it builds in its first trace is to be its own.
        own = step.get_concrete_function(data)
        self._copy = tf.function(self._run, jit_compile=True)
        copy = self._copy.get_concrete_function(data)
        variables = {id(v): v for traced in (own, copy) for v in traced.graph.variables}
        self._variables = list(variables.values())
        self.owners: Sequence[int | None] = [None] * len(self._variables)
        """Each comparison of a variable speaks for all layers."""
        self._before: list[tf.Tensor] = []

    def remember(self) -> None:
        """Note, just before the step, what its variables hold."""
        self._before = self._read()

    def run(self) -> Replayed:
        """Replay the step in the graph that is being built now; compares the variables."""
        after = self._read()
        self._assign(self._before)
        values = self._copy(self._data)
        found = self._read()
        self._assign(after)
        return Replayed(list(values), found, after)

    def _read(self) -> list[tf.Tensor]:
        return [variable.read_value() for variable in self._variables]

    def _assign(self, values: Sequence[tf.Tensor]) -> None:
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value, read_value=False)

    def _run(self, data: Any) -> list[tf.Tensor]:
        """The body of the copy; Python runs it when it is traced."""
        # The user's own trace of the step is to find the same numbers.
        randomness = random.getstate(), np.random.get_state()
        try:
            _, tensors = self._tap.run(self._train_step, data)
        finally:
            random.setstate(randomness[0])
            np.random.set_state(randomness[1])
        if tensors.failure is not None:
            raise tensors.failure
        inner = [one for one in tensors.tapped if one.kind in INNER_KINDS]
        self.tapped = sorted(inner, key=lambda one: one.order)
        self.missed = tensors.missed
        return [one.value for one in self.tapped]
