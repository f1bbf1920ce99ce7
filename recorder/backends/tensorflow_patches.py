"""Patches that let a train step hand over its tensors, in place while its Python body runs.

Keras runs the body of ``train_step`` once per trace (or every step, when eager). For that
while, and no longer, layer calls, activations, the gradient tape and the optimizers are
patched to hand over what passes through them. No tensor of the model is replaced, and the
gradients by layer outputs come from the user's own backward pass: they are asked for as further
sources of the same ``gradient`` call.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
from keras.src.layers.layer import Layer
from keras.src.optimizers.base_optimizer import BaseOptimizer

from deeplocalize.traces.header import Unrecorded
from deeplocalize.traces.schema import Kind

from ..keras_model import PlacedLayer, own_weights
from .tensorflow_tensors import Rank, StepTensors, named_leaves

_CALL_KINDS = (
    Kind.OUTPUT,
    Kind.PREACTIVATION,
    Kind.OUTPUT_GRADIENT,
    Kind.PREACTIVATION_GRADIENT,
)


@dataclass(frozen=True)
class _Output:
    """A layer's output or preactivation whose gradient the tape can be asked for."""

    kind: Kind
    layer: int
    call: int
    tensor: str
    sequence: int
    value: tf.Tensor
    depends_on_weights: bool


class StepPatches:
    """State of one run of the step's body."""

    def __init__(
        self,
        model: Any,
        placed: Sequence[PlacedLayer],
        tensors: StepTensors,
    ) -> None:
        self._model = model
        self._placed = placed
        self._index = {id(place.layer): i for i, place in enumerate(placed)}
        self._tensors = tensors
        self._graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
        self._thread = threading.get_ident()
        self._outputs: dict[int, _Output] = {}
        # Tensors of the batch: they depend on no weight, and are kept so that ids stay unique.
        self._independent = {id(t.value): t.value for t in tensors.tapped}
        self._calls: dict[int, int] = {}
        self._first_sequence: dict[int, int] = {}
        self._weights_were_used = False
        self._n_gradient_calls = 0
        self._inner_layers: set[int] = set()

    def leave_out_inner_calls(self) -> None:
        """Note the layers that were called out of reach, and drop what was seen of them."""
        inner = self._inner_layers
        tensors = self._tensors
        tensors.tapped = [
            t for t in tensors.tapped if t.layer not in inner or t.kind not in _CALL_KINDS
        ]
        reason = "it is called within a loop or a branch of the step"
        tensors.missed += [Unrecorded(Kind.OUTPUT, index, reason) for index in sorted(inner)]

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """All patches, in place while the context lasts."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(_replaced(Layer, "__call__", self._layer_call))
            stack.enter_context(_replaced(tf.GradientTape, "gradient", self._gradient))
            stack.enter_context(_overridden(self._model, "compute_loss", self._compute_loss))
            for place in self._placed:
                if _has_built_in_activation(place.layer):
                    wrap = functools.partial(self._activation, self._index[id(place.layer)])
                    stack.enter_context(_overridden(place.layer, "activation", wrap))
            for optimizer in _optimizers(self._model):
                wrap = functools.partial(self._apply, optimizer)
                stack.enter_context(_overridden(optimizer, "apply", wrap))
            yield

    def _is_outermost(self) -> bool:
        """Not inside a loop, a branch or another thread, whose tensors live elsewhere."""
        if threading.get_ident() != self._thread:
            return False
        if self._graph is None:
            return bool(tf.executing_eagerly())
        return tf.compat.v1.get_default_graph() is self._graph

    # ---- forward ----------------------------------------------------------------------------

    def _layer_call(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
            outputs = original(layer, *args, **kwargs)
            with self._tensors.noting_failure():
                self._add_call(layer, keras.tree.flatten((args, kwargs)), outputs)
            return outputs

        return call

    def _add_call(self, layer: Any, inputs: Sequence[Any], outputs: Any) -> None:
        index = self._index.get(id(layer))
        if index is None:
            return
        is_recurrent_cell = hasattr(layer, "state_size") and not isinstance(layer, keras.layers.RNN)
        if is_recurrent_cell or not self._is_outermost():
            self._inner_layers.add(index)
            return
        depends = self._depends_on_weights(layer, inputs)
        call = self._calls.get(index, 0)
        self._calls[index] = call + 1
        for name, value in named_leaves(outputs):
            self._add_output(Kind.OUTPUT, index, call, name, value, depends)

    def _activation(self, index: int, original: Callable[..., Any]) -> Callable[..., Any]:
        def activation(x: Any, *args: Any, **kwargs: Any) -> Any:
            with self._tensors.noting_failure():
                if self._is_outermost():
                    call = self._calls.get(index, 0)
                    self._add_output(Kind.PREACTIVATION, index, call, "", x, True)
            return original(x, *args, **kwargs)

        return activation

    def _depends_on_weights(self, layer: Any, inputs: Sequence[Any]) -> bool:
        """Whether the backward pass comes through this layer's output anyway.

        Asking for other gradients would make the step compute more: for a frozen backbone,
        say, all of its backward pass. Tensors of unknown origin are decided by whether any
        trainable layer ran before.
        """
        known = True
        depends = any(weight.trainable for weight in layer.trainable_variables)
        for value in inputs:
            if not isinstance(value, tf.Tensor):
                continue
            if id(value) in self._outputs:
                depends |= self._outputs[id(value)].depends_on_weights
            elif id(value) not in self._independent:
                known = False
        self._weights_were_used |= depends
        return depends or (not known and self._weights_were_used)

    def _add_output(
        self, kind: Kind, layer: int, call: int, name: str, value: Any, depends: bool
    ) -> None:
        if not isinstance(value, tf.Tensor):
            reason = f"it is a {type(value).__name__}"
            self._tensors.missed.append(Unrecorded(kind, layer, reason))
            return
        if not value.dtype.is_floating:
            return
        known = self._outputs.get(id(value))
        if id(value) in self._independent or (known is not None and known.kind == kind):
            return  # a layer that passes its input on, or a model its last layer's output
        sequence = len(self._outputs)
        output = _Output(kind, layer, call, name, sequence, value, depends)
        if known is None:
            self._outputs[id(value)] = output
        self._first_sequence.setdefault(layer, sequence)
        self._tensors.add(kind, layer, name, (Rank.FORWARD, sequence), value, call=call)

    def _compute_loss(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def compute_loss(*args: Any, **kwargs: Any) -> Any:
            loss = original(*args, **kwargs)
            if self._is_outermost() and isinstance(loss, tf.Tensor):
                self._tensors.loss = loss
            return loss

        return compute_loss

    # ---- backward ---------------------------------------------------------------------------

    def _gradient(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def gradient(tape: Any, target: Any, sources: Any, *args: Any, **kwargs: Any) -> Any:
            asked = [o for o in self._outputs.values() if o.depends_on_weights]
            if self._tensors.loss is None and isinstance(target, tf.Tensor):
                self._tensors.loss = target
            # With output_gradients or unconnected_gradients the further sources might cost or
            # mean something else.
            if not self._is_outermost() or args or kwargs or not asked:
                return original(tape, target, sources, *args, **kwargs)
            result, found = original(tape, target, (sources, [o.value for o in asked]))
            with self._tensors.noting_failure():
                self._add_output_gradients(asked, found)
                self._n_gradient_calls += 1
            return result

        return gradient

    def _add_output_gradients(self, asked: Sequence[_Output], found: Sequence[Any]) -> None:
        has_gradient = {
            (o.layer, o.call)
            for o, g in zip(asked, found, strict=True)
            if g is not None and o.kind == Kind.OUTPUT
        }
        turn = self._n_gradient_calls
        for output, gradient in zip(asked, found, strict=True):
            if gradient is None:
                continue
            kind = Kind.OUTPUT_GRADIENT
            if output.kind == Kind.PREACTIVATION:
                if (output.layer, output.call) in has_gradient:
                    continue  # the same backward step, seen twice
                kind = Kind.PREACTIVATION_GRADIENT
            name = output.tensor if not turn else f"{output.tensor}@{turn}"
            order = (Rank.BACKWARD, turn, -output.sequence)
            value = tf.convert_to_tensor(gradient)
            self._tensors.add(kind, output.layer, name, order, value, call=output.call)

    def _apply(self, optimizer: Any, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def apply(grads: Any, trainable_variables: Any = None) -> Any:
            grads = list(grads)
            variables = None if trainable_variables is None else list(trainable_variables)
            with self._tensors.noting_failure():
                if self._is_outermost():
                    own = optimizer._trainable_variables if variables is None else variables
                    self._add_weight_gradients(grads, own)
                    self._read_hyperparameters(optimizer)
            return original(grads, variables)

        return apply

    def _add_weight_gradients(self, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
        turn = max(self._n_gradient_calls - 1, 0)
        owners = {
            id(weight): layer
            for layer, place in enumerate(self._placed)
            for weight in own_weights(place.layer)
        }
        for gradient, variable in zip(gradients, variables, strict=False):
            layer = owners.get(id(variable))
            if gradient is None:
                reason = f"no gradient reaches {variable.name}"
                self._tensors.missed.append(Unrecorded(Kind.WEIGHT_GRADIENT, layer, reason))
                continue
            # Duplicate rows of a sparse gradient are not summed here.
            value = gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
            name = variable.name if layer is not None else variable.path
            order = (Rank.BACKWARD, turn, 0.5 - self._sequence_of(layer))
            self._tensors.add(Kind.WEIGHT_GRADIENT, layer, name, order, tf.convert_to_tensor(value))

    def _read_hyperparameters(self, optimizer: Any) -> None:
        tensors = self._tensors
        if tensors.learning_rate is None:
            tensors.learning_rate = tf.cast(optimizer.learning_rate, tf.float32)
        if tensors.loss_scale is None:
            scale = getattr(
                optimizer, "dynamic_scale", getattr(optimizer, "loss_scale_factor", None)
            )
            if scale is not None:
                tensors.loss_scale = tf.cast(scale, tf.float32)

    def _sequence_of(self, layer: int | None) -> int:
        """When the layer, or the layer that holds it, was first called."""
        if layer is None:
            return 0
        if layer in self._first_sequence:
            return self._first_sequence[layer]
        path = self._placed[layer].path
        enclosing = [
            sequence
            for other, sequence in self._first_sequence.items()
            if path.startswith(self._placed[other].path + "/")
        ]
        return max(enclosing, default=0)


def _has_built_in_activation(layer: Any) -> bool:
    """Whether a feed-forward layer ends in an activation function of its own.

    Not recurrent layers and cells: Keras picks their fused kernels by the function's identity.
    """
    activation = layer.__dict__.get("activation")
    return (
        callable(activation)
        and activation is not keras.activations.linear
        and not isinstance(activation, Layer)
        and not isinstance(layer, keras.layers.RNN | keras.layers.Activation)
        and not hasattr(layer, "state_size")
    )


def _optimizers(model: Any) -> list[Any]:
    found = {id(v): v for v in vars(model).values() if isinstance(v, BaseOptimizer)}
    return list(found.values())


@contextlib.contextmanager
def _replaced(owner: type, name: str, wrap: Callable[[Any], Any]) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, wrap(original))
    try:
        yield
    finally:
        setattr(owner, name, original)


@contextlib.contextmanager
def _overridden(thing: Any, name: str, wrap: Callable[[Any], Any]) -> Iterator[None]:
    """An attribute of one object replaced, past Keras's attribute tracking."""
    had = name in thing.__dict__
    original = getattr(thing, name)
    thing.__dict__[name] = wrap(original)
    try:
        yield
    finally:
        if had:
            thing.__dict__[name] = original
        else:
            thing.__dict__.pop(name, None)
