"""A small imperative framework for neural networks in NumPy, with Keras's semantics.

Translating a Keras model needs Keras, and is imported by itself:
``from deeplocalize.recorder.numpynet.from_keras import from_keras``.
"""

from .callbacks import Callback, History
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
    Linear,
    MaxPooling2D,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from .losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
from .optimizers import SGD, Adam, Optimizer, RMSprop
from .sequential import Sequential
from .step import StepResult, Tap

# The original's spellings.
ReLu = ReLU
softmax = Softmax

__all__ = [
    "ELU",
    "SGD",
    "Activation",
    "Adam",
    "AveragePooling2D",
    "BatchNormalization",
    "BinaryCrossentropy",
    "Callback",
    "CategoricalCrossentropy",
    "Conv2D",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "History",
    "Huber",
    "Layer",
    "LeakyReLU",
    "Linear",
    "Loss",
    "MaxPooling2D",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Optimizer",
    "RMSprop",
    "ReLU",
    "ReLu",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "SparseCategoricalCrossentropy",
    "StepResult",
    "Tanh",
    "Tap",
    "softmax",
]
