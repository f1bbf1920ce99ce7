"""Gradients by layer outputs from TensorFlow: more sources of the user's own ``gradient`` call.

Keras runs the body of ``train_step`` once per trace (or every step, when eager). No tensor of
the model is replaced, and no second backward pass runs.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from ..keras_model import PlacedLayer
from .keras_patches import KerasPatches
from .overriding import overridden
from .step_tensors import StepTensors


class StepPatches(KerasPatches):
    """The same with the gradient tape patched too."""

    derives_by_logits = True

    def __init__(
        self, model: Any, placed: Sequence[PlacedLayer], tensors: StepTensors, batch: Any
    ) -> None:
        super().__init__(model, placed, tensors, batch)
        self._graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
        self._weights_were_used = False

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """All patches, in place while the context lasts."""
        with super().applied(), overridden(tf.GradientTape, "gradient", self._gradient):
            yield

    def _is_outermost(self) -> bool:
        if not super()._is_outermost():
            return False
        if self._graph is None:
            return bool(tf.executing_eagerly())
        return tf.compat.v1.get_default_graph() is self._graph

    def _is_of_another_replica(self) -> bool:
        # Replicas are traced in threads that take turns, each within the patches of all.
        replica = tf.distribute.get_replica_context()
        is_one_of_several = replica is not None and replica.num_replicas_in_sync > 1
        return is_one_of_several and not super()._is_outermost()

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

    def _gradient(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def gradient(tape: Any, target: Any, sources: Any, *args: Any, **kwargs: Any) -> Any:
            if not self._is_outermost():
                return original(tape, target, sources, *args, **kwargs)
            asked = [o for o in self._outputs.values() if o.depends_on_weights]
            if self._tensors.loss is None and isinstance(target, tf.Tensor):
                self._tensors.loss = target
            # With output_gradients or unconnected_gradients the further sources might cost or
            # mean something else.
            if args or kwargs or not asked:
                return original(tape, target, sources, *args, **kwargs)
            result, found = original(tape, target, (sources, [o.value for o in asked]))
            with self._tensors.noting_failure():
                self._add_output_gradients(
                    asked, [None if g is None else tf.convert_to_tensor(g) for g in found]
                )
            return result

        return gradient

    def _dense(self, gradient: Any) -> tf.Tensor:
        # Duplicate rows of a sparse gradient are not summed here.
        values = gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
        return tf.convert_to_tensor(values)
