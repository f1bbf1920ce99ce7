"""Which tensors of a traced step may be observed without changing what the step computes.

One more consumer of a tensor keeps TensorFlow's graph optimizer (Grappler) from rewriting the
operations around it, and a rewritten graph rounds differently. Two of its passes ask for a
single consumer:

- the remapper fuses ``MatMul|Conv + BiasAdd + activation`` into one kernel,
- the arithmetic optimizer turns trees of additions into one ``AddN`` and hoists common factors.

So a tensor is left alone where it is the only link between two operations of such a pattern.
The check reads the graph as traced, hence it holds for any layer, also for a user's own.
"""

import tensorflow as tf

_ADDITIONS = frozenset({"Add", "AddV2", "AddN", "Sub", "BiasAdd"})
_SUMS = frozenset({"Add", "AddV2", "AddN"})
_PRODUCTS = frozenset({"MatMul", "BatchMatMulV2", "Conv2D", "Conv3D", "DepthwiseConv2dNative"})

# Consumers of a BiasAdd for which observing it was found to change nothing: the fused and the
# separate kernels give the same bits (Relu), or there is no fused kernel.
_NOT_FUSED_AFTER_BIAS = frozenset(
    {
        "Relu",
        "Relu6",
        "Softmax",
        "LogSoftmax",
        "Softplus",
        "Exp",
        "SoftmaxCrossEntropyWithLogits",
        "SparseSoftmaxCrossEntropyWithLogits",
        "MatMul",
        "BatchMatMulV2",
        "Conv2D",
        "Conv3D",
        "MaxPool",
        "AvgPool",
        "Reshape",
        "Transpose",
        "FusedBatchNormV3",
        "Mean",
        "Sum",
    }
)

# Consumers that only read the shape disappear before the passes above run.
_SHAPE_READERS = frozenset({"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"})
_PASS_THROUGH = frozenset({"Identity", "StopGradient", "PreventGradient"})


def reason_not_to_observe(tensor: tf.Tensor) -> str | None:
    """Why observing a symbolic tensor might change the step, or None where it is safe.

    Call it once the whole step is traced: it looks at every consumer there is. Eager tensors
    are always safe.
    """
    if isinstance(tensor, tf.__internal__.EagerTensor):
        return None
    source = _producer(tensor).type
    consumers = _consumers(tensor)
    if source == "BiasAdd":
        # Some fused patterns (gelu, swish) use it twice, so the count of consumers says nothing.
        for consumer in consumers:
            if consumer.type not in _NOT_FUSED_AFTER_BIAS and not _is_backward(consumer):
                return _reason(source, consumer)
        return None
    if len(consumers) != 1:
        # With two consumers no pass touches the tensor, whoever else looks on.
        return None
    consumer = consumers[0]
    hoists = consumer.type in _SUMS and all(i.op.type == "Mul" for i in consumer.inputs)
    if (
        (source in _PRODUCTS and consumer.type in _ADDITIONS)
        or (source in _ADDITIONS and consumer.type in _SUMS)
        or (source == "Mul" and hoists)
    ):
        return _reason(source, consumer)
    return None


def _reason(source: str, consumer: tf.Operation) -> str:
    return f"observing it would keep TensorFlow from fusing {source} with {consumer.type}"


def _is_backward(operation: tf.Operation) -> bool:
    return "gradient_tape/" in operation.name


def _producer(tensor: tf.Tensor) -> tf.Operation:
    operation = tensor.op
    while operation.type in _PASS_THROUGH and operation.inputs:
        operation = operation.inputs[0].op
    return operation


def _consumers(tensor: tf.Tensor) -> list[tf.Operation]:
    """Operations that use the values, seen through identities."""
    found: dict[str, tf.Operation] = {}
    pending = [tensor]
    while pending:
        for operation in pending.pop().consumers():
            if operation.type in _SHAPE_READERS:
                continue
            if operation.type in _PASS_THROUGH:
                pending.extend(operation.outputs)
            else:
                found[operation.name] = operation
    return list(found.values())
