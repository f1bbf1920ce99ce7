"""From a Keras model to the NumPy network that computes the same.

Translates compiled Sequential and single-path Functional models: weights, states, loss, metrics,
and the optimizer with its state. Needs Keras, and is therefore imported by itself.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from .keras_layers import layer_from_keras
from .keras_training import loss_from_keras, metrics_from_keras, optimizer_from_keras
from .sequential import Sequential


def from_keras(model: Any, seed: int | None = None) -> Sequential:
    """A NumPy network with the layers, weights and training setup of a compiled Keras model.

    Initializers are not carried over: the weights are already there. An epsilon set by
    ``keras.config.set_epsilon`` is not seen.

    Parameters
    ----------
    model
        Built and compiled; left as it is.
    seed
        Of dropout and shuffling.

    Raises
    ------
    ValueError
        Not compiled or built, more than one path, or a part without a counterpart; the message
        names the first such layer, or the loss, optimizer or metric.
    """
    if not getattr(model, "compiled", False) or not model.built:
        raise ValueError(f"{model.name}: wants a built and compiled Keras model")
    layers = _path(model)
    dtype = str(model.compute_dtype)
    if dtype not in ("float32", "float64") or dtype != model.variable_dtype:
        raise ValueError(f"{model.name}: dtype {model.dtype_policy.name} has no counterpart")
    network = Sequential(name=model.name, dtype=dtype, seed=seed)
    for layer in layers:
        network.add(layer_from_keras(layer))
    network.build(tuple(model.input_shape[1:]))
    network.set_weights([np.asarray(value) for layer in layers for value in layer.get_weights()])
    network.compile(
        optimizer_from_keras(model, network), loss_from_keras(model), metrics_from_keras(model)
    )
    return network


def _path(model: Any) -> Sequence[Any]:
    """The layers from input to output, without the input; each fed by the one before it."""
    if not isinstance(model, keras.Sequential | keras.Model) or not hasattr(model, "layers"):
        raise ValueError(f"{model!r}: wants a Keras Sequential or Functional model")
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    if isinstance(model, keras.Sequential):
        return layers
    if len(getattr(model, "inputs", None) or ()) != 1 or len(model.outputs) != 1:
        raise ValueError(f"{model.name}: wants a model of one input and one output")
    before = model.inputs[0]
    for layer in layers:
        # A layer called elsewhere too (or shared) has further nodes; any of them may be ours.
        fed = [node for node in layer._inbound_nodes if node.input_tensors == [before]]
        if not fed:
            raise ValueError(
                f"layer {layer.name!r} is not fed by the layer before it alone; wants a model "
                "that is a single path"
            )
        before = fed[-1].output_tensors[0]
    return layers
