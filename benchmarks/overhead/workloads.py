"""The five trainings whose cost is measured: from a tiny network to wide matrices."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers


@dataclass(frozen=True)
class Workload:
    """A model and the shape of what it is trained on."""

    build: Callable[[], Any]
    shape: tuple[int, ...]
    batch_size: int
    n_batches: int


def mlp() -> Any:
    return keras.Sequential(
        [
            layers.Input((784,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def cnn() -> Any:
    return keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def residual() -> Any:
    """Twenty layers of convolutions with shortcuts, as for 32 by 32 images."""

    def convolution(x: Any, n_filters: int, strides: int = 1) -> Any:
        x = layers.Conv2D(n_filters, 3, strides, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    inputs = layers.Input((32, 32, 3))
    x = layers.ReLU()(convolution(inputs, 16))
    for n_filters, strides in [(16, 1)] * 3 + [
        (32, 2),
        (32, 1),
        (32, 1),
        (64, 2),
        (64, 1),
        (64, 1),
    ]:
        y = layers.ReLU()(convolution(x, n_filters, strides))
        y = convolution(y, n_filters)
        if x.shape[-1] != n_filters:
            x = layers.Conv2D(n_filters, 1, strides, use_bias=False)(x)
        x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def transformer() -> Any:
    """Four encoder blocks over sequences of 64 vectors."""
    inputs = layers.Input((64, 128))
    x = inputs
    for _ in range(4):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(4, 32)(y, y)])
        y = layers.LayerNormalization()(x)
        y = layers.Dense(128)(layers.Dense(512, activation="gelu")(y))
        x = layers.Add()([x, y])
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def wide() -> Any:
    hidden = [layers.Dense(2048, activation="relu") for _ in range(4)]
    return keras.Sequential(
        [layers.Input((2048,)), *hidden, layers.Dense(10, activation="softmax")]
    )


WORKLOADS: dict[str, Workload] = {
    "mlp": Workload(mlp, (784,), 32, 600),
    "cnn": Workload(cnn, (28, 28, 1), 64, 40),
    "residual": Workload(residual, (32, 32, 3), 64, 6),
    "transformer": Workload(transformer, (64, 128), 32, 6),
    "wide": Workload(wide, (2048,), 256, 6),
}


def trained(workload: Workload) -> tuple[Any, Any, Any]:
    """A compiled model, always with the same weights, and noise to train it on."""
    random = np.random.default_rng(0)
    n = workload.batch_size * workload.n_batches
    x, y = random.random((n, *workload.shape), np.float32), random.integers(0, 10, n)
    keras.utils.set_random_seed(1)
    model = workload.build()
    jit_compile = "OVERHEAD_JIT_COMPILE" in os.environ or "auto"
    model.compile(
        keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", jit_compile=jit_compile
    )
    return model, x, y
