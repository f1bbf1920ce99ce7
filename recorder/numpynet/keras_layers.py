"""From a Keras layer to the layer that computes the same; needs Keras, as ``from_keras.py``."""

from collections.abc import Callable
from typing import Any

import keras

from .layers import (
    ELU,
    Activation,
    AveragePooling2D,
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Layer,
    LeakyReLU,
    MaxPooling2D,
    ReLU,
    Softmax,
)

_ACTIVATIONS = ("linear", "relu", "leaky_relu", "elu", "sigmoid", "tanh", "softmax")


def layer_from_keras(layer: Any) -> Layer:
    """A layer with the name and the arguments of a Keras layer, still without weights.

    Raises
    ------
    ValueError
        The layer, its activation or an argument has no counterpart; the message names them.
    """
    maker = _LAYERS.get(type(layer))
    if maker is None:
        raise ValueError(
            f"layer {layer.name!r} ({type(layer).__name__}) has no counterpart; there are "
            f"{', '.join(sorted(cls.__name__ for cls in _LAYERS))}"
        )
    return maker(layer)


def _require(layer: Any, **wanted: Any) -> dict[str, Any]:
    """Name and trainable, if these attributes of the layer have the only values known here."""
    for name, value in wanted.items():
        found = getattr(layer, name)
        if found != value:
            raise ValueError(
                f"layer {layer.name!r} ({type(layer).__name__}): {name}={found!r} has no "
                f"counterpart, only {value!r}"
            )
    return {"name": layer.name, "trainable": layer.trainable}


def _activation(layer: Any) -> str:
    name = getattr(layer.activation, "__name__", str(layer.activation))
    if name not in _ACTIVATIONS or layer.activation is not keras.activations.get(name):
        raise ValueError(
            f"layer {layer.name!r} ({type(layer).__name__}): activation {name!r} has no "
            f"counterpart; there are {', '.join(_ACTIVATIONS)}"
        )
    return name


def _weighted(layer: Any, **wanted: Any) -> dict[str, Any]:
    regularizers = [name for name in vars(layer) if name.endswith(("_regularizer", "_constraint"))]
    return _require(layer, **dict.fromkeys(regularizers), **wanted)


def _dense(layer: Any) -> Layer:
    common = _weighted(layer, lora_enabled=False)
    return Dense(layer.units, _activation(layer), use_bias=layer.use_bias, **common)


def _convolution(layer: Any) -> Layer:
    common = _weighted(layer, groups=1, dilation_rate=(1, 1), data_format="channels_last")
    return Conv2D(
        layer.filters,
        tuple(layer.kernel_size),
        tuple(layer.strides),
        layer.padding,
        _activation(layer),
        use_bias=layer.use_bias,
        **common,
    )


def _pooling(kind: type[MaxPooling2D] | type[AveragePooling2D]) -> Callable[[Any], Layer]:
    def make(layer: Any) -> Layer:
        common = _require(layer, data_format="channels_last")
        return kind(tuple(layer.pool_size), tuple(layer.strides), layer.padding, **common)

    return make


def _dropout(layer: Any) -> Layer:
    return Dropout(layer.rate, **_require(layer, noise_shape=None))


def _normalization(layer: Any) -> Layer:
    common = _weighted(layer, axis=_last_axis(layer), renorm=False, synchronized=False)
    return BatchNormalization(layer.momentum, layer.epsilon, layer.center, layer.scale, **common)


def _last_axis(layer: Any) -> int:
    return -1 if layer.axis == -1 else len(layer.input.shape) - 1


def _embedding(layer: Any) -> Layer:
    common = _weighted(layer, mask_zero=False, lora_enabled=False)
    return Embedding(layer.input_dim, layer.output_dim, **common)


_LAYERS: dict[type, Callable[[Any], Layer]] = {
    keras.layers.Dense: _dense,
    keras.layers.Conv2D: _convolution,
    keras.layers.MaxPooling2D: _pooling(MaxPooling2D),
    keras.layers.AveragePooling2D: _pooling(AveragePooling2D),
    keras.layers.Flatten: lambda k: Flatten(**_require(k, data_format="channels_last")),
    keras.layers.Dropout: _dropout,
    keras.layers.BatchNormalization: _normalization,
    keras.layers.Embedding: _embedding,
    keras.layers.Activation: lambda k: Activation(_activation(k), **_require(k)),
    keras.layers.ReLU: lambda k: ReLU(
        **_require(k, max_value=None, negative_slope=0.0, threshold=0.0)
    ),
    keras.layers.LeakyReLU: lambda k: LeakyReLU(float(k.negative_slope), **_require(k)),
    keras.layers.ELU: lambda k: ELU(float(k.alpha), **_require(k)),
    keras.layers.Softmax: lambda k: Softmax(**_require(k, axis=-1)),
}
