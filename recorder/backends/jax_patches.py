"""Gradients by layer outputs from JAX: identities whose derivative hands over what passes back.

A step of JAX's is a pure function: while it is differentiated, layers see tracers that mean
nothing outside. An identity with a derivative of its own (`jax.custom_vjp`) is told both the
value and its gradient as the step around it knows them, in the one backward pass there is. The
step computes the same with it, bit by bit.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import keras
from keras.src.backend.common import masking

from ..keras_model import PlacedLayer
from .keras_patches import KerasPatches, Output
from .overriding import overridden
from .step_tensors import StepTensors


class StepPatches(KerasPatches):
    """The same with an identity after every output.

    Parameters
    ----------
    state
        What the step was given besides its data. Values that belong to the same trace as it are
        those that the step may hand out.
    """

    update_method = "stateless_apply"

    def __init__(
        self,
        model: Any,
        placed: Sequence[PlacedLayer],
        tensors: StepTensors,
        batch: Any,
        state: Any,
    ) -> None:
        super().__init__(model, placed, tensors, batch)
        self._step = next((_trace(leaf) for leaf in keras.tree.flatten((state, batch))), None)
        self._found: list[tuple[Output, jax.Array]] = []
        self._seen: dict[int, jax.Array] = {}
        self._regularized: set[int] = set()

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """All patches, in place while the context lasts."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(super().applied())
            stack.enter_context(overridden(self._model, "stateless_call", self._stateless_call))
            for place in self._placed:
                if getattr(place.layer, "activity_regularizer", None) is not None:
                    wrap = functools.partial(self._call_within, place.layer)
                    stack.enter_context(overridden(place.layer, "call", wrap))
                    self._regularized.add(id(place.layer))
            yield

    def end_step(self) -> None:
        """Hand over what came after the last update."""
        if self._found:
            self._end_backward()

    def _stateless_call(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Keras enters the model itself by this, and not by ``__call__``."""

        @functools.wraps(original)
        def stateless_call(*args: Any, **kwargs: Any) -> Any:
            outputs, *others = original(*args, **kwargs)
            with self._tensors.noting_failure():
                outputs = self._add_call(self._model, (), outputs)
            return (outputs, *others)

        return stateless_call

    def _call_within(self, layer: Any, original: Callable[..., Any]) -> Callable[..., Any]:
        """What a layer computes, before ``__call__`` takes a penalty from it.

        The identity has to come first, so that the penalty's gradient passes through it too.
        """

        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            outputs = original(*args, **kwargs)
            with self._tensors.noting_failure():
                outputs = super(StepPatches, self)._add_call(layer, (), outputs)
            return outputs

        return call

    def _add_call(self, layer: Any, inputs: Sequence[Any], outputs: Any) -> Any:
        if id(layer) in self._regularized:
            return outputs
        return super()._add_call(layer, inputs, outputs)

    def _follow(self, output: Output) -> jax.Array:
        def note(gradient: jax.Array) -> None:
            if self._is_within_step(gradient):
                self._found.append((output, gradient))

        return self._hand_over(output.value, note)

    def _stash_loss(self, loss: jax.Array) -> jax.Array:
        followed = self._hand_over(loss, lambda gradient: None)
        self._tensors.loss = self._within_step(followed)
        return followed

    def _hand_over(self, value: jax.Array, note: Callable[[jax.Array], None]) -> jax.Array:
        """The same values, which will have been seen once the step is differentiated."""
        seen: list[jax.Array] = []

        def forward(x: jax.Array) -> tuple[jax.Array, None]:
            seen.append(x)
            return x, None

        def backward(_: None, gradient: jax.Array) -> tuple[jax.Array]:
            note(gradient)
            return (gradient,)

        identity = jax.custom_vjp(_same)
        identity.defvjp(forward, backward)
        followed: jax.Array = identity(value)
        mask = masking.get_keras_mask(value)
        if mask is not None:
            masking.set_keras_mask(followed, mask)
        # Where nothing before depends on a weight, JAX differentiates nothing, and the value is
        # the step's own.
        self._seen[id(followed)] = seen[0] if seen else value
        return followed

    def _within_step(self, value: jax.Array) -> jax.Array | None:
        seen = self._seen.get(id(value), value)
        return seen if self._is_within_step(seen) else None

    def _is_within_step(self, value: jax.Array) -> bool:
        return _trace(value) in (None, self._step)

    def _end_backward(self) -> None:
        found = self._found.copy()
        self._found.clear()
        self._add_output_gradients([o for o, _ in found], [g for _, g in found])

    def _stateless_apply(self, optimizer: Any, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def stateless_apply(optimizer_variables: Any, grads: Any, trainable_variables: Any) -> Any:
            grads = list(grads)
            with self._tensors.noting_failure():
                if all(self._is_within_step(g) for g in grads if g is not None):
                    self._end_backward()
                    self._add_weight_gradients(grads, optimizer._trainable_variables)
                    mapping = list(zip(optimizer.variables, optimizer_variables, strict=True))
                    with keras.StatelessScope(state_mapping=mapping):
                        self._read_hyperparameters(optimizer)
            return original(optimizer_variables, grads, trainable_variables)

        return stateless_apply


def _same(value: jax.Array) -> jax.Array:
    return value


def _trace(value: Any) -> Any:
    """Which of JAX's traces a value belongs to; None for one that is simply there."""
    return getattr(value, "_trace", None)
