"""Whether a Keras model can be made again, and trained again, from its configuration alone."""

from typing import Any

import keras

from .keras_model import is_functional, placed_layers


def obstacle(model: Any) -> str:
    """Why not, in a few words; empty if it can."""
    if type(model) is not keras.Sequential and not is_functional(model):
        return f"{type(model).__name__} is a model class of its own"
    for place in placed_layers(model):
        layer = place.layer
        if isinstance(layer, keras.layers.Lambda):
            return f'layer "{layer.name}" is a Lambda, whose code no trace holds'
        if not _is_of_keras(type(layer)):
            return f'layer "{layer.name}" is of a class of its own ({type(layer).__name__})'
        activation = getattr(layer, "activation", None)
        if activation is not None and not _is_of_keras(activation):
            return f'the activation of layer "{layer.name}" is a function of its own'
    if isinstance(model.loss, list | tuple | dict):
        return "it has several losses"
    if not (isinstance(model.loss, str) or _is_of_keras(model.loss)):
        return "its loss is a function or class of its own"
    if not _is_of_keras(model.optimizer):
        return f"its optimizer is of a class of its own ({type(model.optimizer).__name__})"
    return ""


def _is_of_keras(thing: Any) -> bool:
    named = thing if hasattr(thing, "__module__") else type(thing)
    return str(named.__module__).partition(".")[0] == "keras"
