"""The words in which the zoo's programs are written: layers, data, losses and usual settings."""

from collections.abc import Mapping
from typing import Any

from ..program import Layer, Program

ADAM = {"class": "Adam", "learning_rate": 0.003}
FAST_ADAM = {"class": "Adam", "learning_rate": 0.01}

SPARSE = "sparse_categorical_crossentropy"
ONEHOT = "categorical_crossentropy"
BINARY = "binary_crossentropy"

DIGITS = {"name": "table", "dataset": "digits"}
DIGITS_ONEHOT = {**DIGITS, "coding": "onehot"}
DIGIT_IMAGES = {"name": "digit_images"}
INFORMATIVE = {"name": "informative", "n": 800, "n_features": 12, "n_classes": 4}
FRIEDMAN = {"name": "friedman", "n": 800}
TAGS = {"name": "tags", "n": 800}
MOONS = {"name": "moons", "n": 800}
CIRCLES = {"name": "circles", "n": 800}
SENTENCES = {"name": "sentences", "n": 640, "length": 20}
WAVES = {"name": "waves", "n": 480, "length": 24}
BARS = {"name": "bars", "n": 480, "side": 12}

_REGRESSIONS = frozenset(
    {"mean_squared_error", "mae", "huber", "log_cosh", "poisson", "mse", "mean_absolute_error",
     "mean_squared_logarithmic_error", "cosine_similarity"}
)  # fmt: skip


def program(
    layers: tuple[Layer, ...], loss: str, task: Mapping[str, Any], **settings: Any
) -> Program:
    """A program with what the zoo usually trains with."""
    settings.setdefault("metrics", ("mae",) if loss in _REGRESSIONS else ("accuracy",))
    settings.setdefault("optimizer", ADAM)
    return Program(layers, loss, task=task, **settings)


def layer(class_name: str, **arguments: Any) -> Layer:
    """Any layer."""
    return {"class": class_name, **arguments}


def dense(*widths: int, activation: str = "relu", **arguments: Any) -> tuple[Layer, ...]:
    """Dense layers of the given widths."""
    return tuple(
        layer("Dense", units=width, activation=activation, **arguments) for width in widths
    )


def head(units: int, activation: str = "linear") -> Layer:
    """The last layer."""
    return layer("Dense", units=units, activation=activation)


def conv(filters: int, **arguments: Any) -> Layer:
    """A convolution over 3 x 3 pixels."""
    return layer("Conv2D", filters=filters, kernel_size=3, **{"activation": "relu", **arguments})


POOL = layer("MaxPooling2D", pool_size=2)
FLAT = layer("Flatten")
NORM = layer("BatchNormalization")
