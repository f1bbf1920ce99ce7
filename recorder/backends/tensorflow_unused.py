"""What a train step does not use itself, at less cost than the operation that would give it.

Keras takes cross-entropies from the logits. Where no metric looks at it either, a model's softmax
is computed for the recorder alone.
"""

import math

import tensorflow as tf

from .tensorflow_graph import consumers_of

# Per sample. oneDNN's softmax, which TensorFlow takes for float32 on CPUs, needs 30 us to begin,
# and the one for float64 about 1 us; with a thousand elements a sample it is three times as fast.
_FEW_ELEMENTS = 256


def at_less_cost(tensor: tf.Tensor) -> tf.Tensor:
    """A traced tensor, or the same values from another operation if the step does not use them.

    Call it once the whole step is traced. A float32 softmax is taken in float64 then: its values
    are rounded once, so that the last bits may differ, and a sample with NaN or Inf among its
    logits is NaN throughout, of which the float32 one may make NaN and 0.
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
    if shape.rank is None or None in shape[1:]:
        return False
    return bool(math.prod(shape[1:]) <= _FEW_ELEMENTS)
