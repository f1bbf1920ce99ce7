"""The layers: one module each, all of the silhouette of ``base.py``."""

from .activation import ELU, Activation, LeakyReLU, Linear, ReLU, Sigmoid, Softmax, Tanh
from .base import Layer
from .convolution import Conv2D
from .dense import Dense
from .dropout import Dropout
from .embedding import Embedding
from .flatten import Flatten
from .normalization import BatchNormalization
from .pooling import AveragePooling2D, MaxPooling2D

LAYERS: tuple[type[Layer], ...] = (
    Dense,
    Conv2D,
    MaxPooling2D,
    AveragePooling2D,
    Flatten,
    Dropout,
    BatchNormalization,
    Embedding,
    Activation,
    ReLU,
    LeakyReLU,
    ELU,
    Sigmoid,
    Tanh,
    Softmax,
    Linear,
)
"""Every layer class: what a stored network may be made of."""

__all__ = [
    "ELU",
    "LAYERS",
    "Activation",
    "AveragePooling2D",
    "BatchNormalization",
    "Conv2D",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "Layer",
    "LeakyReLU",
    "Linear",
    "MaxPooling2D",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Tanh",
]
