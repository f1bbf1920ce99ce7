"""The first step of a training, computed anew: eagerly, by Keras and TensorFlow alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from deeplocalize.recorder.keras_model import own_weights, placed_layers

from .models import LABELS, Case

BATCH = 32


def build(case: Case, **mode: Any) -> Any:
    keras.utils.set_random_seed(7)
    model = case.build()
    metrics = None if isinstance(case.labels, dict) else ["accuracy"]
    model.compile(keras.optimizers.SGD(0.5), loss=case.loss(), metrics=metrics, **mode)
    if not model.built:
        model(case.x[:1])
    return model


class Reference:
    """The first step of a training, computed eagerly, layer by layer."""

    def __init__(self, case: Case, forward: Callable[[Any, Any, Callable[..., Any]], Any]) -> None:
        self.model = build(case)
        self.model(case.x[:1])  # builds it, where it is not yet
        keras.utils.set_random_seed(7)
        self.outputs: list[tuple[str, Any]] = []
        weights = [v.value for v in self.model.trainable_variables]
        self.before = [w.numpy() for w in weights]
        with tf.GradientTape(persistent=True) as tape:

            def note(layer: Any, value: Any) -> Any:
                tape.watch(value)
                self.outputs.append((layer.name, value))
                return value

            logits = forward(self.model, tf.constant(case.x[:BATCH]), note)
            self.loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS[:BATCH], logits)
            )
        self.gradients = tape.gradient(self.loss, weights)
        values = [value for _, value in self.outputs]
        self.output_gradients = tape.gradient(self.loss, values)


def layer_by_layer(model: Any, x: Any, note: Callable[..., Any]) -> Any:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            x = layer_by_layer(layer, x, note)
        elif getattr(layer, "activation", None) is keras.activations.softmax:
            # Keras computes cross-entropy from what enters a softmax.
            logits = x @ layer.kernel.value + layer.bias.value
            note(layer, tf.nn.softmax(logits))
            return logits
        elif not isinstance(layer, keras.layers.InputLayer):
            x = note(layer, layer(x, training=True) if layer._call_has_training_arg else layer(x))
    return x


def shared_twice(model: Any, x: Any, note: Callable[..., Any]) -> Any:
    _, shared, out = model.layers
    return note(out, out(note(shared, shared(note(shared, shared(x))))))


def of_blocks(model: Any, x: Any, note: Callable[..., Any]) -> Any:
    x = note(model.first, model.first(x))
    for block in model.blocks:
        x = x + note(block, block(x))
    return note(model.last, model.last(x))


FORWARD = {
    "subclassed": of_blocks,
    "mlp": layer_by_layer,
    "cnn": layer_by_layer,
    "nested": layer_by_layer,
    "recurrent": layer_by_layer,
    "smooth_activations": layer_by_layer,
    "frozen": layer_by_layer,
    "shared": shared_twice,
}


def summed_rows(rows: NDArray[Any], tokens: NDArray[Any], shape: Any) -> NDArray[Any]:
    """A sparse gradient as a whole matrix: it has a row per token of the batch, in their order."""
    assert rows.shape == (tokens.size, shape[-1])
    assert len(np.unique(tokens)) < tokens.size  # duplicates are not summed in the trace
    total = np.zeros(shape, np.float64)
    np.add.at(total, tokens.reshape(-1), rows)
    return total


@dataclass(frozen=True)
class Probe:
    """Output of every top-level layer of a functional model, and the loss's gradient by each."""

    outputs: dict[int, Any]
    gradients: dict[int, Any]
    weight_gradients: list[Any]  # layer by layer, as weights stand in a trace
    loss: Any
    n_idle: int  # layers that pass their input on


def probe(case: Case) -> Probe:
    """One forward pass with all outputs and one backward pass, in Keras's own eager mode."""
    model = build(case)
    at = [i for i, layer in enumerate(model.layers) if layer.__class__.__name__ != "InputLayer"]
    inner = keras.Model(model.inputs, [model.layers[i].output for i in at])
    keras.utils.set_random_seed(7)
    labels = LABELS[:BATCH]
    with tf.GradientTape() as tape:
        outputs = dict(zip(at, inner(case.x[:BATCH], training=True), strict=True))
        ends = [i for i in at if any(model.layers[i].output is o for o in model.outputs)]
        losses = [
            tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, outputs[i]))
            for i in ends
        ]
        loss = tf.add_n([*losses, *inner.losses])
    variables = [v for place in placed_layers(model) for v in own_weights(place.layer)]
    weights = [v.value for v in variables]
    gradients, found = tape.gradient(loss, (weights, list(outputs.values())))
    n_idle = sum(getattr(layer, "rate", 1) == 0 for layer in model.layers)
    return Probe(outputs, dict(zip(at, found, strict=True)), gradients, loss, n_idle)
