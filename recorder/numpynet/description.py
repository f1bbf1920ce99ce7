"""The network as a trace's header tells of it."""

from collections.abc import Sequence
from typing import Any

from deeplocalize.traces import header

from .layers import Layer
from .sequential import Sequential


def layer_descriptions(model: Sequential) -> tuple[header.Layer, ...]:
    """One entry per layer, in order; axis 0 (the batch) has length None."""
    return tuple(_described(model.layers, i, model.dtype) for i in range(len(model.layers)))


def loss_description(model: Sequential) -> str | dict[str, Any]:
    """Keras's name of the compiled loss; class and arguments where they are not the default."""
    loss = model.loss
    if loss == type(loss)():
        return loss.name
    return {"class_name": type(loss).__name__, "config": loss.config()}


def optimizer_description(model: Sequential) -> dict[str, Any]:
    """Class and hyperparameters of the compiled optimizer."""
    config = {**model.optimizer.config(), "learning_rate": current_learning_rate(model)}
    return {"class_name": type(model.optimizer).__name__, "config": config}


def current_learning_rate(model: Sequential) -> float:
    """Of the next step: that of the layers where all have the same, else the optimizer's."""
    own = {layer.learning_rate for layer in model.layers if layer.is_learning}
    rate = own.pop() if len(own) == 1 else None
    return model.optimizer.current_learning_rate if rate is None else rate


def model_description(model: Sequential) -> dict[str, Any]:
    """Name, dtype and layers, each with the arguments that make it again."""
    layers = [{"class_name": layer.class_name, "config": layer.config()} for layer in model.layers]
    return {"name": model.name, "dtype": model.dtype, "layers": layers}


def _described(layers: Sequence[Layer], i: int, dtype: str) -> header.Layer:
    layer = layers[i]
    return header.Layer(
        index=i,
        name=layer.name,
        path=layer.name,
        class_name=layer.class_name,
        order=i,
        activation=layer.activation_name,
        config=layer.config(),
        input_shapes=((None, *layer.input_shape),),
        output_shapes=((None, *layer.output_shape),),
        dtype=dtype,
        trainable=layer.trainable,
        n_parameters=layer.n_parameters,
        inbound=(layers[i - 1].name,) if i else (),
    )
