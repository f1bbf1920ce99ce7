"""From a program's layers, loss and optimizer to a compiled Keras model."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import ops

from .program import Layer, Program


def compiled(program: Program, input_shape: tuple[int, ...], dtype: str) -> Any:
    """The model of a program, built for its data and compiled.

    Weights are drawn from the program's seed.
    """
    keras.utils.set_random_seed(program.seed)
    # Integer inputs are tokens; Keras embeds them only if they arrive as integers.
    is_token = any(layer["class"] in ("Embedding", "TokensAndPlaces") for layer in program.layers)
    first = keras.Input(input_shape, dtype="int32" if is_token else "float32")
    model = keras.Sequential([first, *map(made, program.layers)])
    model.compile(
        optimizer=_optimizer(program.optimizer),
        loss=LOSSES.get(program.loss, program.loss),
        metrics=list(program.metrics),
    )
    return model


def made(layer: Layer) -> Any:
    """A layer from its description."""
    arguments = {key: value for key, value in layer.items() if key != "class"}
    name = layer["class"]
    if name in BLOCKS:
        return BLOCKS[name](**arguments)
    for key, value in arguments.items():
        if isinstance(value, Mapping) and "class" in value:
            arguments[key] = made(value)
    return getattr(keras.layers, name)(**arguments)


def _optimizer(description: Mapping[str, Any]) -> Any:
    arguments = {key: value for key, value in description.items() if key != "class"}
    rate = arguments.get("learning_rate")
    if isinstance(rate, Mapping):
        schedule = {key: value for key, value in rate.items() if key != "class"}
        arguments["learning_rate"] = getattr(keras.optimizers.schedules, rate["class"])(**schedule)
    return getattr(keras.optimizers, description["class"])(**arguments)


# ---- blocks that Keras has no layer for -------------------------------------------------------


class Residual(keras.layers.Layer):
    """Layers whose result is added to what they received."""

    def __init__(self, layers: tuple[Layer, ...]) -> None:
        super().__init__()
        self.inner = [made(layer) for layer in layers]

    def call(self, x: Any, training: bool = False) -> Any:
        """What the layer returns."""
        y = x
        for layer in self.inner:
            y = layer(y, training=training) if "Normalization" in type(layer).__name__ else layer(y)
        return x + y


class SelfAttention(keras.layers.Layer):
    """A transformer block: attention and a two-layer network, each added and normalised."""

    def __init__(self, n_heads: int, width: int) -> None:
        super().__init__()
        self.attention = keras.layers.MultiHeadAttention(n_heads, width // n_heads)
        self.first_norm = keras.layers.LayerNormalization()
        self.wide = keras.layers.Dense(2 * width, activation="gelu")
        self.narrow = keras.layers.Dense(width)
        self.second_norm = keras.layers.LayerNormalization()

    def call(self, x: Any) -> Any:
        """What the layer returns."""
        x = self.first_norm(x + self.attention(x, x))
        return self.second_norm(x + self.narrow(self.wide(x)))


class TokensAndPlaces(keras.layers.Layer):
    """The sum of a token's and its place's embedding."""

    def __init__(self, n_tokens: int, length: int, width: int) -> None:
        super().__init__()
        self.tokens = keras.layers.Embedding(n_tokens, width)
        self.places = keras.layers.Embedding(length, width)
        self.length = length

    def call(self, x: Any) -> Any:
        """What the layer returns."""
        return self.tokens(x) + self.places(ops.arange(self.length))


OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "log": ops.log,
    "sqrt": ops.sqrt,
    "square": ops.square,
    "exp": ops.exp,
    "inverse": lambda x: 1 / x,
    "unit_length": lambda x: x / ops.sqrt(ops.sum(x * x, axis=-1, keepdims=True)),
    "center_pixels": lambda x: x / 127.5 - 1,
}


class Operation(keras.layers.Layer):
    """An operation of the user's own, element by element."""

    def __init__(self, function: str) -> None:
        super().__init__()
        self.function = OPERATIONS[function]

    def call(self, x: Any) -> Any:
        """What the layer returns."""
        return self.function(x)


BLOCKS: dict[str, Callable[..., Any]] = {
    "Residual": Residual,
    "SelfAttention": SelfAttention,
    "TokensAndPlaces": TokensAndPlaces,
    "Operation": Operation,
}


# ---- losses -----------------------------------------------------------------------------------


def unguarded_cross_entropy(y_true: Any, y_pred: Any) -> Any:
    """Cross-entropy without the epsilon that keeps the logarithm's argument positive."""
    y_true = ops.cast(y_true, y_pred.dtype)
    return -ops.mean(y_true * ops.log(y_pred) + (1 - y_true) * ops.log(1 - y_pred), axis=-1)


def root_mean_squared_rows(y_true: Any, y_pred: Any) -> Any:
    """Root of each row's mean squared error, whose derivative is infinite at 0."""
    return ops.sqrt(ops.mean(ops.square(y_pred - y_true), axis=-1))


LOSSES: dict[str, Any] = {
    "binary_from_logits": keras.losses.BinaryCrossentropy(from_logits=True),
    "categorical_from_logits": keras.losses.CategoricalCrossentropy(from_logits=True),
    "sparse_from_logits": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    "smoothed_cross_entropy": keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
    "unguarded_cross_entropy": unguarded_cross_entropy,
    "root_mean_squared_rows": root_mean_squared_rows,
}
