"""Patches that let a train step of Keras hand over its tensors while its Python body runs.

For that while, and no longer, layer calls, activations and the optimizers are patched to hand
over what passes through them. How gradients by layer outputs are come by is left to each
framework (``tensorflow_patches.py``, ``jax_patches.py``, ``torch_patches.py``).
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
from keras.src.layers.layer import Layer

from deeplocalize.traces.header import Unrecorded
from deeplocalize.traces.schema import Kind

from ..keras_model import (
    PlacedLayer,
    activation_name,
    has_built_in_activation,
    optimizers_of,
    own_weights,
)
from .overriding import overridden
from .step_tensors import Rank, StepTensors, is_floating, named_leaves

_CALL_KINDS = (
    Kind.OUTPUT,
    Kind.PREACTIVATION,
    Kind.OUTPUT_GRADIENT,
    Kind.PREACTIVATION_GRADIENT,
)


@dataclass(frozen=True)
class Output:
    """A layer's output or preactivation, whose gradient may be recorded too.

    ``sequence`` counts them within the step. ``depends_on_weights``: the backward pass comes
    through it anyway.
    """

    kind: Kind
    layer: int
    call: int
    tensor: str
    sequence: int
    value: Any
    depends_on_weights: bool = True


class KerasPatches:
    """State of one run of the step's body.

    Parameters
    ----------
    model
        The Keras model being trained.
    placed
        Its layers; `Tapped.layer` indexes this sequence.
    tensors
        Where to stash what is seen.
    batch
        The step's data: layers that merely pass it on have no output of their own.
    """

    derives_by_logits = False
    """Whether Keras takes cross-entropy from what enters a softmax or sigmoid on this framework."""

    update_method = "apply"
    """The method of an optimizer that receives the gradients."""

    def __init__(
        self, model: Any, placed: Sequence[PlacedLayer], tensors: StepTensors, batch: Any
    ) -> None:
        self._model = model
        self._placed = placed
        self._index = {id(place.layer): i for i, place in enumerate(placed)}
        self._tensors = tensors
        self._thread = threading.get_ident()
        # Kept, so that their ids stay unique.
        self._independent = {id(leaf): leaf for leaf in keras.tree.flatten(batch)}
        self._outputs: dict[int, Output] = {}
        self._calls: dict[int, int] = {}
        self._activated: set[tuple[int, int]] = set()
        self._n_sequence = 0
        self._first_sequence: dict[int, int] = {}
        self._n_gradient_calls = 0
        self._inner_layers: set[int] = set()
        self._predicting: set[int] = set()

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
            stack.enter_context(overridden(Layer, "__call__", self._layer_call))
            stack.enter_context(overridden(self._model, "compute_loss", self._compute_loss))
            for place in self._placed:
                if has_built_in_activation(place.layer):
                    wrap = functools.partial(self._activation, self._index[id(place.layer)])
                    stack.enter_context(overridden(place.layer, "activation", wrap))
            for optimizer in optimizers_of(self._model):
                wrap = functools.partial(getattr(self, f"_{self.update_method}"), optimizer)
                stack.enter_context(overridden(optimizer, self.update_method, wrap))
            yield

    # ---- what a framework may say differently -------------------------------------------------

    def _is_outermost(self) -> bool:
        """Not inside a loop, a branch or another thread, whose tensors live elsewhere."""
        return threading.get_ident() == self._thread

    def _is_of_another_replica(self) -> bool:
        """Whether what runs now belongs to a replica of the step that has patches of its own."""
        return False

    def _depends_on_weights(self, layer: Any, inputs: Sequence[Any]) -> bool:
        """Whether the backward pass comes through this layer's output anyway."""
        return True

    def _follow(self, output: Output) -> Any:
        """See to it that the output's gradient will be handed over.

        Returns what the step goes on with in place of the output: the same values.
        """
        return output.value

    def _within_step(self, value: Any) -> Any:
        """The same values as the step itself knows them; None where it does not."""
        return value

    def _end_backward(self) -> None:
        """Hand over the gradients of the backward pass that has just ended."""

    # ---- forward ----------------------------------------------------------------------------

    def _layer_call(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
            outputs = original(layer, *args, **kwargs)
            with self._tensors.noting_failure():
                outputs = self._add_call(layer, keras.tree.flatten((args, kwargs)), outputs)
            return outputs

        return call

    def _add_call(self, layer: Any, inputs: Sequence[Any], outputs: Any) -> Any:
        index = self._index.get(id(layer))
        if index is None or self._is_of_another_replica():
            return outputs
        if any(isinstance(value, keras.KerasTensor) for value in keras.tree.flatten(outputs)):
            return outputs  # a model that builds itself asks its layers for shapes only
        is_recurrent_cell = hasattr(layer, "state_size") and not isinstance(layer, keras.layers.RNN)
        if is_recurrent_cell or not self._is_outermost():
            self._inner_layers.add(index)
            return outputs
        depends = self._depends_on_weights(layer, inputs)
        call = self._calls.get(index, 0)
        self._calls[index] = call + 1
        followed: dict[int, Any] = {}
        for name, value in named_leaves(outputs):
            followed[id(value)] = self._add_output(Kind.OUTPUT, index, call, name, value, depends)
        if all(id(value) == key for key, value in followed.items()):
            return outputs
        return keras.tree.map_structure(lambda leaf: followed.get(id(leaf), leaf), outputs)

    def _activation(self, index: int, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def activation(x: Any, *args: Any, **kwargs: Any) -> Any:
            with self._tensors.noting_failure():
                if self._is_outermost():
                    # Wrappers such as TimeDistributed call `layer.call`, which counts no call.
                    call = self._calls.get(index, 0)
                    while (index, call) in self._activated:
                        call += 1
                    x = self._add_output(Kind.PREACTIVATION, index, call, "", x, True)
            return original(x, *args, **kwargs)

        return activation

    def _add_output(
        self, kind: Kind, layer: int, call: int, name: str, value: Any, depends: bool
    ) -> Any:
        """Stash an output; what the step goes on with in its place."""
        if not isinstance(value, self._tensors.tensor_types):
            reason = f"it is a {type(value).__name__}"
            self._tensors.missed.append(Unrecorded(kind, layer, reason))
            return value
        if not is_floating(value):
            return value
        known = self._outputs.get(id(value))
        if id(value) in self._independent or (known is not None and known.kind == kind):
            return value  # a layer that passes its input on, or a model its last layer's output
        output = Output(kind, layer, call, name, self._n_sequence, value, depends)
        self._n_sequence += 1
        self._first_sequence.setdefault(layer, output.sequence)
        if known is None:  # else an activation that passes on what it gets, and is followed
            value = self._follow(output)
            self._outputs[id(value)] = replace(output, value=value)
        seen = self._within_step(value)
        if seen is None:
            self._inner_layers.add(layer)
        else:
            order = (Rank.FORWARD, output.sequence)
            self._tensors.add(kind, layer, name, order, seen, call=call)
            if kind is Kind.PREACTIVATION:
                self._activated.add((layer, call))
        return value

    def _compute_loss(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def compute_loss(*args: Any, **kwargs: Any) -> Any:
            loss = original(*args, **kwargs)
            with self._tensors.noting_failure():
                if self._is_outermost() and isinstance(loss, self._tensors.tensor_types):
                    self._note_predictions(keras.tree.flatten((args, kwargs)))
                    loss = self._stash_loss(loss)
            return loss

        return compute_loss

    def _note_predictions(self, values: Sequence[Any]) -> None:
        """Which layers ended in a probability that the loss was computed from."""
        known = (self._outputs.get(id(value)) for value in values)
        layers = {output.layer for output in known if output is not None}
        self._predicting |= {
            i for i in layers if activation_name(self._placed[i].layer) in ("softmax", "sigmoid")
        }

    def _stash_loss(self, loss: Any) -> Any:
        """Stash the loss; what the step goes on with in its place."""
        self._tensors.loss = loss
        return loss

    # ---- backward ---------------------------------------------------------------------------

    def _add_output_gradients(self, asked: Sequence[Output], found: Sequence[Any]) -> None:
        """Stash the gradients of one backward pass; None where there is none."""
        # A preactivation's gradient is the same backward step seen twice, except where other
        # frameworks have nothing else: logits are what can be compared between them.
        both = set() if self.derives_by_logits else self._predicting
        has_gradient = {
            (o.layer, o.call)
            for o, g in zip(asked, found, strict=True)
            if g is not None and o.kind == Kind.OUTPUT and o.layer not in both
        }
        turn = self._n_gradient_calls
        self._n_gradient_calls += 1
        for output, gradient in zip(asked, found, strict=True):
            if gradient is None:
                continue
            kind = Kind.OUTPUT_GRADIENT
            if output.kind == Kind.PREACTIVATION:
                if (output.layer, output.call) in has_gradient:
                    continue
                kind = Kind.PREACTIVATION_GRADIENT
            name = output.tensor if not turn else f"{output.tensor}@{turn}"
            order = (Rank.BACKWARD, turn, -output.sequence)
            self._tensors.add(kind, output.layer, name, order, gradient, call=output.call)

    def _apply(self, optimizer: Any, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def apply(grads: Any, trainable_variables: Any = None) -> Any:
            grads = list(grads)
            variables = None if trainable_variables is None else list(trainable_variables)
            with self._tensors.noting_failure():
                if self._is_outermost():
                    self._end_backward()
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
            name = variable.name if layer is not None else variable.path
            order = (Rank.BACKWARD, turn, 0.5 - self._sequence_of(layer))
            dense = self._dense(gradient)
            self._tensors.add(
                Kind.WEIGHT_GRADIENT, layer, name, order, dense, is_rows=dense is not gradient
            )

    def _dense(self, gradient: Any) -> Any:
        """A weight's gradient as a plain tensor; another one only where it is a list of rows."""
        return gradient

    def _read_hyperparameters(self, optimizer: Any) -> None:
        tensors = self._tensors
        if tensors.learning_rate is None:
            tensors.learning_rate = keras.ops.cast(optimizer.learning_rate, "float32")
        if tensors.loss_scale is None:
            scale = getattr(
                optimizer, "dynamic_scale", getattr(optimizer, "loss_scale_factor", None)
            )
            if scale is not None:
                tensors.loss_scale = keras.ops.cast(scale, "float32")

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
