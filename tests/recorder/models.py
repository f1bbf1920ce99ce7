"""Small models of every kind that a recorder must not disturb."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

N, FEATURES, LENGTH, TOKENS, CLASSES = 100, 16, 12, 20, 3

_rng = np.random.default_rng(0)
VECTORS = _rng.standard_normal((N, FEATURES)).astype("float32")
IMAGES = _rng.standard_normal((N, 8, 8, 2)).astype("float32")
SENTENCES = np.sort(_rng.integers(0, TOKENS, (N, LENGTH)))[:, ::-1].astype("int32")
LABELS = _rng.integers(0, CLASSES, N).astype("int32")


def from_logits() -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@dataclass(frozen=True)
class Case:
    """A model with something to train it on."""

    build: Callable[[], Any]
    x: NDArray[Any]
    y: Any = None
    loss: Callable[[], Any] = from_logits
    optimizer: Callable[[], Any] = keras.optimizers.Adam
    policy: str = "float32"

    @property
    def labels(self) -> Any:
        return LABELS if self.y is None else self.y


def stack(*inner: Any, shape: tuple[int, ...] = (FEATURES,)) -> Any:
    return keras.Sequential([layers.Input(shape), *inner])


def mlp() -> Any:
    return stack(
        layers.Dense(8, activation="relu", name="hidden"),
        layers.Dense(CLASSES, activation="softmax", name="out"),
    )


def smooth_activations() -> Any:
    names = ("tanh", "sigmoid", "elu", "gelu", "silu", "selu", "softplus", "leaky_relu")
    return stack(*(layers.Dense(8, activation=name) for name in names), layers.Dense(CLASSES))


def activation_layers() -> Any:
    parts: list[Any] = []
    for name in ("tanh", "sigmoid", "elu", "gelu", "relu"):
        parts += [layers.Dense(8), layers.Activation(name)]
    return stack(*parts, layers.LeakyReLU(), layers.PReLU(), layers.Dense(CLASSES))


def cnn() -> Any:
    return stack(
        layers.Conv2D(8, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(8, 2, activation="tanh"),
        layers.Flatten(),
        layers.Dense(CLASSES),
        shape=(8, 8, 2),
    )


def residual(activation: str = "relu") -> Any:
    x = i = layers.Input((8, 8, 2))
    for _ in range(2):
        y = layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
        y = layers.BatchNormalization()(y)
        y = layers.Activation(activation)(y)
        y = layers.Conv2D(8, 3, padding="same")(y)
        y = layers.BatchNormalization()(y)
        shortcut = x if x.shape[-1] == 8 else layers.Conv2D(8, 1)(x)
        x = layers.Activation(activation)(layers.Add()([y, shortcut]))
    return keras.Model(i, layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(x)))


def smooth_residual() -> Any:
    """Without a kink, at which the last bit of a value decides on a whole gradient."""
    return residual("softplus")


def dense_residual() -> Any:
    x = i = layers.Input((FEATURES,))
    for _ in range(3):
        y = layers.Dense(FEATURES, activation="relu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dropout(0.1)(layers.Dense(FEATURES)(y))])
    return keras.Model(i, layers.Dense(CLASSES)(x))


def batch_normalization() -> Any:
    return stack(
        layers.Dense(8),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Dropout(0.5),
        layers.Dense(CLASSES, activity_regularizer="l2", kernel_regularizer="l2"),
    )


def plain_normalization() -> Any:
    return stack(
        layers.Dense(8),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Dropout(0.0),
        layers.Dense(CLASSES, activity_regularizer="l2", kernel_regularizer="l2"),
    )


def mixed_precision() -> Any:
    return stack(
        layers.Dense(8, activation="relu"),
        layers.BatchNormalization(),
        layers.Dropout(0.5),
        layers.Dense(CLASSES, dtype="float32"),
    )


def nested() -> Any:
    deepest = keras.Sequential([layers.Dense(8, activation="tanh"), layers.Dense(8)], name="deep")
    inner = keras.Sequential([deepest, layers.Dense(8, activation="relu")], name="inner")
    i = layers.Input((FEATURES,))
    return keras.Model(i, layers.Dense(CLASSES)(inner(i)))


def shared() -> Any:
    layer = layers.Dense(FEATURES, activation="relu", name="shared")
    i = layers.Input((FEATURES,))
    return keras.Model(i, layers.Dense(CLASSES)(layer(layer(i))))


def recurrent() -> Any:
    return stack(
        layers.Embedding(TOKENS, 8),
        layers.LSTM(8, return_sequences=True),
        layers.GRU(8),
        layers.Dense(CLASSES),
        shape=(LENGTH,),
    )


def bidirectional() -> Any:
    return stack(
        layers.Embedding(TOKENS, 8, mask_zero=True),
        layers.Bidirectional(layers.LSTM(6)),
        layers.Dense(CLASSES),
        shape=(LENGTH,),
    )


def plain_attention() -> Any:
    return attention(dropout=0.0)


def attention(dropout: float = 0.1) -> Any:
    x = i = layers.Input((LENGTH,))
    x = layers.Embedding(TOKENS, 16)(x)
    for _ in range(2):
        h = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(2, 8, dropout=dropout)(h, h)])
        h = layers.Dense(32, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(16)(h)])
    return keras.Model(i, layers.Dense(CLASSES)(layers.GlobalAveragePooling1D()(x)))


def two_outputs() -> Any:
    i = layers.Input((FEATURES,))
    h = layers.Dense(8, activation="relu")(i)
    return keras.Model(i, {"a": layers.Dense(3, name="a")(h), "b": layers.Dense(3, name="b")(h)})


def frozen() -> Any:
    bottom = layers.Dense(8, activation="relu", name="frozen")
    bottom.trainable = False
    return stack(bottom, layers.Dense(8, activation="relu"), layers.Dense(CLASSES))


def noisy_lambda() -> Any:
    import tensorflow as tf

    noise = layers.Lambda(lambda x: x + tf.random.normal(tf.shape(x), stddev=0.1))
    return stack(noise, layers.Dense(8, activation="relu"), noise, layers.Dense(CLASSES))


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.first = layers.Dense(8, activation="relu")
        self.blocks = [layers.Dense(8, activation="gelu") for _ in range(2)]
        self.last = layers.Dense(CLASSES)

    def call(self, x: Any, training: bool = False) -> Any:
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        return self.last(x)


class CustomStep(Subclassed):
    def train_step(self, data: Any) -> Any:
        import tensorflow as tf

        x, y = data[:2]
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        gradients = [tf.clip_by_norm(g, 1.0) for g in gradients]
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss}


CASES: dict[str, Case] = {
    "mlp": Case(mlp, VECTORS, loss=lambda: "sparse_categorical_crossentropy"),
    "smooth_activations": Case(smooth_activations, VECTORS),
    "activation_layers": Case(activation_layers, VECTORS),
    "cnn": Case(cnn, IMAGES),
    "residual": Case(residual, IMAGES),
    "smooth_residual": Case(smooth_residual, IMAGES),
    "dense_residual": Case(dense_residual, VECTORS),
    "batch_normalization": Case(batch_normalization, VECTORS),
    "plain_normalization": Case(plain_normalization, VECTORS),
    "nested": Case(nested, VECTORS),
    "shared": Case(shared, VECTORS),
    "recurrent": Case(recurrent, SENTENCES),
    "bidirectional": Case(bidirectional, SENTENCES),
    "attention": Case(attention, SENTENCES),
    "plain_attention": Case(plain_attention, SENTENCES),
    "two_outputs": Case(
        two_outputs,
        VECTORS,
        y={"a": LABELS, "b": LABELS},
        loss=lambda: {"a": from_logits(), "b": from_logits()},
    ),
    "frozen": Case(frozen, VECTORS),
    "noisy_lambda": Case(noisy_lambda, VECTORS),
    "subclassed": Case(Subclassed, VECTORS),
    "custom_step": Case(CustomStep, VECTORS),
    "schedule_and_clipping": Case(
        mlp,
        VECTORS,
        loss=lambda: "sparse_categorical_crossentropy",
        optimizer=lambda: keras.optimizers.SGD(
            keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5), momentum=0.9, clipnorm=1.0
        ),
    ),
    "gradient_accumulation": Case(
        batch_normalization,
        VECTORS,
        optimizer=lambda: keras.optimizers.Adam(1e-2, gradient_accumulation_steps=3),
    ),
    "float16": Case(mixed_precision, VECTORS, policy="mixed_float16"),
    "bfloat16": Case(mixed_precision, VECTORS, policy="mixed_bfloat16"),
}
