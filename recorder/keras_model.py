"""What a Keras model is, as a trace header: its layers, configuration and compile settings.

Framework-free apart from Keras's own object model (attributes common to every backend).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras.src.optimizers.base_optimizer import BaseOptimizer

from deeplocalize.traces.header import Header, Layer

_ACTIVATION_LAYERS = {
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "PReLU": "prelu",
    "ELU": "elu",
    "Softmax": "softmax",
}


@dataclass(frozen=True)
class PlacedLayer:
    """A Keras layer with its place: index of the top-level layer that holds it, unique path."""

    layer: Any
    index: int
    path: str


def placed_layers(model: Any) -> tuple[PlacedLayer, ...]:
    """Every layer of a model, nested ones included, each once, parents before children.

    A subclassed model comes last itself, with index -1: it may have outputs and weights of its
    own.
    """
    placed: list[PlacedLayer] = []
    seen: set[int] = {id(model)}
    taken: set[str] = set()
    for index, layer in enumerate(_children(model)):
        for path, inner in _walk(layer, ""):
            if id(inner) in seen:
                continue
            seen.add(id(inner))
            unique = path
            while unique in taken:
                unique += "'"
            taken.add(unique)
            placed.append(PlacedLayer(inner, index, unique))
    if type(model) is not keras.Sequential and not is_functional(model):
        placed.append(PlacedLayer(model, -1, model.name))
    return tuple(placed)


def is_functional(model: Any) -> bool:
    """Whether a model is no more than a graph of its layers."""
    return type(model).__name__ == "Functional" and type(model).__module__.startswith("keras.")


def _walk(layer: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    path = prefix + layer.name
    yield path, layer
    for child in _children(layer):
        yield from _walk(child, path + "/")


def _children(layer: Any) -> list[Any]:
    # A model's `layers` is what the user counts; other layers track theirs in `_layers`.
    return list(layer.layers if isinstance(layer, keras.Model) else getattr(layer, "_layers", ()))


def own_weights(layer: Any) -> list[Any]:
    """Float variables that training may change, without those of sublayers."""
    return [v for v in getattr(layer, "_trainable_variables", ()) if _is_float(v)]


def own_state(layer: Any) -> list[Any]:
    """Float variables that the layer keeps for itself, such as moving averages."""
    return [v for v in getattr(layer, "_non_trainable_variables", ()) if _is_float(v)]


def _is_float(variable: Any) -> bool:
    return "float" in keras.backend.standardize_dtype(variable.dtype)


def activation_name(layer: Any) -> str | None:
    """Name of the function by which a layer ends, as Keras spells it; None if it has none."""
    if type(layer).__name__ in _ACTIVATION_LAYERS:
        return _ACTIVATION_LAYERS[type(layer).__name__]
    activation = getattr(layer, "activation", None)
    if activation is None:
        return None
    name = getattr(activation, "__name__", None) or getattr(activation, "name", None)
    return str(name or type(activation).__name__)


def has_built_in_activation(layer: Any) -> bool:
    """Whether a feed-forward layer ends in an activation function of its own.

    Not recurrent layers and cells: Keras picks their fused kernels by the function's identity.
    """
    activation = layer.__dict__.get("activation")
    return (
        callable(activation)
        and activation is not keras.activations.linear
        and not isinstance(activation, keras.layers.Layer)
        and not isinstance(layer, keras.layers.RNN | keras.layers.Activation)
        and not hasattr(layer, "state_size")
    )


def optimizers_of(model: Any) -> list[Any]:
    """Every optimizer that a model holds, such as the two of a GAN."""
    found = {id(v): v for v in vars(model).values() if isinstance(v, BaseOptimizer)}
    return list(found.values())


def describe_layers(placed: tuple[PlacedLayer, ...]) -> tuple[Layer, ...]:
    """The header's layers, in the same order as given."""
    return tuple(_describe(place, order) for order, place in enumerate(placed))


def _describe(place: PlacedLayer, order: int) -> Layer:
    layer = place.layer
    return Layer(
        index=place.index,
        name=layer.name,
        path=place.path,
        class_name=type(layer).__name__,
        order=order,
        activation=activation_name(layer),
        config=config_of(layer) if place.index >= 0 else {},
        input_shapes=_shapes(layer, "input"),
        output_shapes=_shapes(layer, "output"),
        dtype=str(getattr(layer, "compute_dtype", "float32")),
        trainable=bool(layer.trainable),
        n_parameters=sum(_size(v) for v in own_weights(layer) + own_state(layer)),
        inbound=_inbound(layer),
    )


def _size(variable: Any) -> int:
    n = 1
    for length in variable.shape:
        n *= int(length or 0)
    return n


def _shapes(layer: Any, which: str) -> tuple[tuple[int | None, ...], ...]:
    # Subclassed models have no symbolic input and output: those attributes raise.
    try:
        tensors = keras.tree.flatten(getattr(layer, which))
        return tuple(tuple(t.shape) for t in tensors)
    except (AttributeError, ValueError):
        return ()


def _inbound(layer: Any) -> tuple[str, ...]:
    names: list[str] = []
    for node in getattr(layer, "_inbound_nodes", ()):
        names += [parent.operation.name for parent in getattr(node, "parent_nodes", ())]
    return tuple(dict.fromkeys(names))


def config_of(thing: Any) -> dict[str, Any]:
    """``get_config()`` of a layer or optimizer; empty where it cannot give one."""
    try:
        config = thing.get_config()
    except Exception:  # a user's get_config may raise anything, and a header can do without
        return {}
    return dict(config) if isinstance(config, Mapping) else {}


def describe_loss(loss: Any) -> Any:
    """The compiled loss as plain data: a name, a class with its config, or a structure of these."""
    if isinstance(loss, Mapping):
        return {str(name): describe_loss(part) for name, part in loss.items()}
    if isinstance(loss, list | tuple):
        return [describe_loss(part) for part in loss]
    if loss is None or isinstance(loss, str):
        return loss
    if isinstance(loss, keras.losses.Loss):
        return {"class_name": type(loss).__name__, "config": config_of(loss)}
    return getattr(loss, "__name__", type(loss).__name__)


def describe_optimizer(optimizer: Any) -> dict[str, Any] | None:
    """The compiled optimizer's class and hyperparameters."""
    if optimizer is None:
        return None
    return {"class_name": type(optimizer).__name__, "config": config_of(optimizer)}


def describe_metrics(model: Any) -> tuple[str, ...]:
    """Names of the compiled metrics as the user gave them, nested structures flattened."""
    config = getattr(model, "_compile_config", None)
    metrics = config.config.get("metrics") if config is not None else None
    flat = keras.tree.flatten(metrics) if metrics else []
    return tuple(m if isinstance(m, str) else str(getattr(m, "name", m)) for m in flat if m)


def model_config(model: Any) -> dict[str, Any] | None:
    """The whole model's config, where it can give one (subclassed models mostly cannot)."""
    return config_of(model) or None


def describe_model(model: Any) -> Header:
    """All of the above, for a compiled model."""
    return Header(
        framework=f"keras/{keras.backend.backend()}",
        versions={"keras": keras.__version__},
        model_name=model.name,
        model_class=type(model).__name__,
        model_config=model_config(model),
        loss=describe_loss(model.loss),
        optimizer=describe_optimizer(model.optimizer),
        metrics=describe_metrics(model),
        layers=describe_layers(placed_layers(model)),
    )
