"""The softmax that a train step does not use itself, from a cheaper operation.

Keras takes cross-entropies from the logits. Where no metric looks at it either, a model's softmax
is computed for the recorder alone.
"""

import math
from dataclasses import replace
from typing import Any

import tensorflow as tf

from .step_tensors import StepTensors
from .tensorflow_graph import consumers_of

# Chosen: on CPUs TensorFlow takes a float32 softmax by oneDNN, which takes long to begin, and is
# the faster one from about 10000 elements on.
_FEW_ELEMENTS = 1 << 13

# What a batch counts for whose size TensorFlow leaves open.
_BATCH_SIZE = 32


def replace_unused_softmax(tensors: StepTensors, logs: Any) -> None:
    """Observe another operation's values in place of each small softmax that nothing else uses.

    Call it once the whole step is traced; an eager one is left alone.

    Parameters
    ----------
    logs
        What the step returns.
    """
    returned = {id(value) for value in tf.nest.flatten(logs)}
    tensors.tapped = [
        one if id(one.value) in returned else replace(one, value=cheaper_softmax(one.value))
        for one in tensors.tapped
    ]


def cheaper_softmax(tensor: tf.Tensor) -> tf.Tensor:
    """A tensor, or if it is a small float32 softmax that has no consumer, one taken in float64.

    Its values are rounded once, so that the last bits may differ; and a sample whose softmax is
    undefined (NaN or Inf among its logits, or nothing but -Inf) is NaN throughout, of which the
    float32 one may make NaN and 0.
    """
    if isinstance(tensor, tf.__internal__.EagerTensor) or tensor.dtype != tf.float32:
        return tensor
    operation = tensor.op
    if operation.type != "Softmax" or consumers_of(tensor) or not _has_few_elements(tensor):
        return tensor
    logits = operation.inputs[0]
    return tf.cast(tf.nn.softmax(tf.cast(logits, tf.float64)), tf.float32)


def _has_few_elements(tensor: tf.Tensor) -> bool:
    shape = tensor.shape
    if shape.rank is None or shape.rank < 2 or None in shape[1:]:
        return False
    n_samples = _BATCH_SIZE if shape[0] is None else shape[0]
    return bool(n_samples * math.prod(shape[1:]) <= _FEW_ELEMENTS)
