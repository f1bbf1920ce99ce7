"""Every layer and loss once, with inputs on which finite differences are exact enough."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from deeplocalize.recorder.numpynet import (
    ELU,
    Activation,
    AveragePooling2D,
    BatchNormalization,
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Huber,
    Layer,
    LeakyReLU,
    Linear,
    Loss,
    MaxPooling2D,
    MeanAbsoluteError,
    MeanSquaredError,
    ReLU,
    Sigmoid,
    Softmax,
    SparseCategoricalCrossentropy,
    Tanh,
)
from deeplocalize.recorder.numpynet.arrays import Array
from deeplocalize.recorder.numpynet.gradient_check import numeric_gradient, relative_error


@dataclass(frozen=True)
class LayerCase:
    """A layer, an input for it, and whether it is used as in training."""

    name: str
    make: Callable[[], Layer]
    x: Array
    training: bool = True

    def error(self) -> float:
        """Largest relative error of the gradients by the weights and by the input."""
        return max(relative_error(found, wanted) for found, wanted in self._gradients())

    def _gradients(self) -> Iterable[tuple[Array, Array]]:
        layer = self.make()
        layer.prepare(self.x.shape[1:], "float64", np.random.default_rng(1))
        for name in layer.weights:
            layer.weights[name] = np.random.default_rng(2).normal(size=layer.weights[name].shape)
        factors = np.random.default_rng(3).normal(size=(len(self.x), *layer.output_shape))

        def scalar(_: Array) -> float:
            layer._rng = np.random.default_rng(4)  # dropout must drop the same
            return float((layer.forward(self.x, self.training) * factors).sum())

        scalar(self.x)
        by_input = layer.backward(factors).copy()
        by_weight = {name: gradient.copy() for name, gradient in layer.gradients.items()}
        for name, weight in layer.weights.items():
            yield by_weight[name], numeric_gradient(scalar, weight)
        if not layer.takes_indices:
            yield by_input, numeric_gradient(scalar, self.x)


@dataclass(frozen=True)
class LossCase:
    """A loss with labels and outputs for it."""

    name: str
    loss: Loss
    y: Array
    p: Array

    def error(self) -> float:
        """Largest relative error of the gradient by the outputs, with sample weights."""
        weight = np.array([0.5, 1.0, 2.0, 0.0])
        p = self.p.copy()
        wanted = numeric_gradient(lambda p: self.loss(self.y, p, weight), p)
        return relative_error(self.loss.gradient(self.y, p, weight), wanted)


def _normal(*shape: int) -> Array:
    return np.random.default_rng(0).normal(size=shape)


def _distinct(*shape: int) -> Array:
    """Numbers at least 0.1 from each other and from 0: no kink and no tie is near."""
    n = int(np.prod(shape))
    values = np.random.default_rng(0).permutation(n) - n // 2 + 0.5
    return values.reshape(shape) * 0.2


_IMAGES = _distinct(2, 5, 6, 2)
_VECTORS = _distinct(4, 5)

LAYER_CASES = (
    LayerCase("Dense", lambda: Dense(3), _normal(4, 5)),
    LayerCase("Dense, no bias", lambda: Dense(3, use_bias=False), _normal(4, 5)),
    LayerCase("Dense on sequences, tanh", lambda: Dense(3, "tanh"), _normal(2, 4, 5)),
    LayerCase("Dense, softmax", lambda: Dense(3, "softmax"), _normal(4, 5)),
    LayerCase("Conv2D, valid", lambda: Conv2D(3, 3), _IMAGES),
    LayerCase("Conv2D, same, sigmoid", lambda: Conv2D(3, 3, 1, "same", "sigmoid"), _IMAGES / 9),
    LayerCase("Conv2D, same, strides", lambda: Conv2D(3, (3, 2), (2, 3), "same"), _IMAGES),
    LayerCase("Conv2D, valid, strides", lambda: Conv2D(3, 2, (2, 3)), _IMAGES),
    LayerCase("MaxPooling2D, valid", lambda: MaxPooling2D(), _IMAGES),
    LayerCase("MaxPooling2D, same, overlapping", lambda: MaxPooling2D(3, 2, "same"), _IMAGES),
    LayerCase("AveragePooling2D, valid", lambda: AveragePooling2D(), _IMAGES),
    LayerCase("AveragePooling2D, same", lambda: AveragePooling2D(3, 2, "same"), _IMAGES),
    LayerCase("Flatten", lambda: Flatten(), _IMAGES),
    LayerCase("Dropout, training", lambda: Dropout(0.4), _VECTORS),
    LayerCase("Dropout, inference", lambda: Dropout(0.4), _VECTORS, training=False),
    LayerCase("BatchNormalization, training", lambda: BatchNormalization(), _normal(6, 5)),
    LayerCase("BatchNormalization, images", lambda: BatchNormalization(), _normal(3, 2, 2, 2)),
    LayerCase("BatchNormalization, inference", lambda: BatchNormalization(), _normal(6, 5), False),
    LayerCase("Embedding", lambda: Embedding(5, 3), np.array([[0, 2, 2], [4, 1, 2]])),
    LayerCase("ReLU", lambda: ReLU(), _VECTORS),
    LayerCase("LeakyReLU", lambda: LeakyReLU(), _VECTORS),
    LayerCase("ELU", lambda: ELU(1.5), _VECTORS),
    LayerCase("Sigmoid", lambda: Sigmoid(), _VECTORS),
    LayerCase("Tanh", lambda: Tanh(), _VECTORS),
    LayerCase("Softmax", lambda: Softmax(), _VECTORS),
    LayerCase("Linear", lambda: Linear(), _VECTORS),
    LayerCase("Activation, leaky_relu", lambda: Activation("leaky_relu"), _VECTORS),
)

_ONE_HOT = np.eye(3)[[0, 2, 1, 2]]
_NUMBERS = np.array([0, 2, 1, 2])
_PARTS = np.random.default_rng(0).uniform(0.2, 0.8, (4, 3))
_LOGITS = _normal(4, 3)
_TARGETS = _LOGITS + np.random.default_rng(1).choice([-2.0, -0.5, 0.5, 2.0], (4, 3))
_BITS = np.random.default_rng(2).integers(0, 2, (4, 3)).astype(float)

LOSS_CASES = (
    LossCase("categorical", CategoricalCrossentropy(), _ONE_HOT, _PARTS),
    LossCase("categorical, logits", CategoricalCrossentropy(from_logits=True), _ONE_HOT, _LOGITS),
    LossCase("sparse", SparseCategoricalCrossentropy(), _NUMBERS, _PARTS),
    LossCase("sparse, logits", SparseCategoricalCrossentropy(from_logits=True), _NUMBERS, _LOGITS),
    LossCase("binary", BinaryCrossentropy(), _BITS, _PARTS),
    LossCase("binary, logits", BinaryCrossentropy(from_logits=True), _BITS, _LOGITS),
    LossCase("mean squared error", MeanSquaredError(), _TARGETS, _LOGITS),
    LossCase("mean absolute error", MeanAbsoluteError(), _TARGETS, _LOGITS),
    LossCase("Huber", Huber(), _TARGETS, _LOGITS),
)
