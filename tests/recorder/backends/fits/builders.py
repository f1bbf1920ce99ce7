"""A small model, a fit of it, and what the fit must leave, on any framework."""

from typing import Any

import keras
import numpy as np
from keras.src.layers.layer import Layer

BACKEND = keras.backend.backend()
X = np.random.default_rng(0).standard_normal((100, 4)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 100)


def build(activation: str = "relu", **options: Any) -> Any:
    keras.utils.set_random_seed(7)
    layers = [
        keras.layers.Dense(8, activation=activation, name="hidden"),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(3, activation="softmax", name="out"),
    ]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile("adam", "sparse_categorical_crossentropy", **options)
    return model


def fit(model: Any, *callbacks: Any, x: Any = X, **kwargs: Any) -> Any:
    arguments = {"batch_size": 25, "shuffle": False, "verbose": 0, **kwargs}
    return model.fit(x, Y, callbacks=list(callbacks), **arguments).history


def weights(model: Any) -> list[Any]:
    variables = [*model.variables, *model.optimizer.variables]
    return [keras.ops.convert_to_numpy(v) for v in variables]


def assert_same(model: Any, other: Any) -> None:
    for a, b in zip(weights(model), weights(other), strict=True):
        np.testing.assert_array_equal(a, b)


def assert_untouched(model: Any) -> None:
    for name in ("train_step", "compute_loss", "stateless_call", "_make_function"):
        assert name not in model.__dict__
    for name in ("apply", "stateless_apply"):
        assert name not in model.optimizer.__dict__
    assert "deeplocalize" not in getattr(model.train_function, "__module__", "")
    assert Layer.__call__.__qualname__.startswith("Layer.")
    for layer in model.layers:
        activation = layer.__dict__.get("activation")
        assert activation is None or not hasattr(activation, "__wrapped__")
