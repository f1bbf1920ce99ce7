"""A fit that something may end, and what it must leave of the model."""

from typing import Any

import keras
import tensorflow as tf
from keras.src.layers.layer import Layer

from .models import CASES


def build() -> Any:
    keras.utils.set_random_seed(7)
    model = CASES["mlp"].build()
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def fit(model: Any, *callbacks: Any, **kwargs: Any) -> Any:
    case = CASES["mlp"]
    arguments = {"batch_size": 10, "epochs": 1, "verbose": 0, **kwargs}
    return model.fit(case.x, case.labels, callbacks=list(callbacks), **arguments)


def assert_untouched(model: Any) -> None:
    """Nothing of the recorder is left on the model or on the framework's classes."""
    assert "train_step" not in model.__dict__
    assert "compute_loss" not in model.__dict__
    assert "apply" not in model.optimizer.__dict__
    assert model.train_function.__module__.startswith("keras.")
    assert Layer.__call__.__qualname__.startswith("Layer.")
    assert tf.GradientTape.gradient.__qualname__.startswith("GradientTape.")
    for layer in model.layers:
        activation = layer.__dict__.get("activation")
        assert activation is None or activation.__module__.startswith("keras")
