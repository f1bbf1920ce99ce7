"""Which tensors of a traced step may be observed without changing what the step computes.

One more consumer of a tensor keeps TensorFlow's graph optimizer (Grappler) from rewriting the
operations around it, and a rewritten graph rounds differently. Two of its passes ask for a
single consumer:

- the remapper fuses ``MatMul|Conv + BiasAdd + activation`` into one kernel,
- the arithmetic optimizer turns trees of additions into one ``AddN``, hoists common factors, and
  reorders chains of multiplications so that fewer of them broadcast.

So a tensor is left alone where it is the only link between two operations of such a pattern.
The check reads the graph as traced, hence it holds for any layer, also for a user's own.
"""

import tensorflow as tf

_ADDITIONS = frozenset({"Add", "AddV2", "AddN", "Sub", "BiasAdd"})
_SUMS = frozenset({"Add", "AddV2", "AddN"})
_PRODUCTS = frozenset({"MatMul", "BatchMatMulV2", "Conv2D", "Conv3D", "DepthwiseConv2dNative"})

# What the remapper fuses a BiasAdd with. Most of it then rounds differently; a fused Relu gives
# the same numbers, but 0 for NaN where the separate one gives NaN.
_FUSED_ACTIVATIONS = frozenset({"Relu", "Relu6", "Tanh", "Sigmoid", "Elu", "Selu", "LeakyRelu"})
_FUSED_AFTER_BIAS = _FUSED_ACTIVATIONS | _SUMS

# Gelu and swish are fused as a whole: bias, arithmetic, and one of these gates.
_GATES = frozenset({"Erf", "Erfc", "Tanh", "Sigmoid"})
_GATE_ARITHMETIC = frozenset({"Mul", "RealDiv", "Neg", "AddV2", "Pow", "Square"})
_GATE_DISTANCE = 5

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
    consumers = consumers_of(tensor)
    if source == "BiasAdd":
        # Some fused patterns (gelu, swish) use it twice, so the count of consumers says nothing.
        forward = [consumer for consumer in consumers if not _is_backward(consumer)]
        for consumer in forward:
            if consumer.type in _FUSED_AFTER_BIAS or _leads_to_gate(consumer):
                return _reason(source, consumer)
        return None
    if len(consumers) != 1:
        # With two consumers no pass touches the tensor, whoever else looks on.
        return None
    consumer = consumers[0]
    adds_bias = any(_producer(i).type == "BiasAdd" for i in _producer(tensor).inputs)
    hoists = consumer.type in _SUMS and all(i.op.type == "Mul" for i in consumer.inputs)
    if (
        (source in _PRODUCTS and consumer.type in _ADDITIONS)
        or (source in _ADDITIONS and consumer.type in _SUMS)
        or (source in _SUMS and adds_bias and consumer.type in _FUSED_ACTIVATIONS)
        or (source == "Mul" and (hoists or consumer.type == "Mul"))
    ):
        return _reason(source, consumer)
    return None


def _leads_to_gate(operation: tf.Operation) -> bool:
    """Whether elementwise arithmetic from here ends in a gate."""
    reached = [operation]
    for _ in range(_GATE_DISTANCE):
        if any(o.type in _GATES for o in reached):
            return True
        arithmetic = [o for o in reached if o.type in _GATE_ARITHMETIC]
        users = [user for o in arithmetic for out in o.outputs for user in consumers_of(out)]
        reached = [user for user in users if not _is_backward(user)]
    return False


def _reason(source: str, consumer: tf.Operation) -> str:
    return f"observing it would keep TensorFlow from fusing {source} with {consumer.type}"


def _is_backward(operation: tf.Operation) -> bool:
    return "gradient_tape/" in operation.name


def _producer(tensor: tf.Tensor) -> tf.Operation:
    operation = tensor.op
    while operation.type in _PASS_THROUGH and operation.inputs:
        operation = operation.inputs[0].op
    return operation


def consumers_of(tensor: tf.Tensor) -> list[tf.Operation]:
    """Operations that use a symbolic tensor's values, seen through identities."""
    found: dict[str, tf.Operation] = {}
    pending = [tensor]
    while pending:
        passed = pending.pop()
        for operation in passed.consumers():
            if operation.type in _SHAPE_READERS:
                continue
            if operation.type in _PASS_THROUGH:
                pending.extend(operation.outputs)
            elif operation.type == "IdentityN":  # around every custom gradient
                pairs = zip(operation.inputs, operation.outputs, strict=True)
                pending.extend(after for before, after in pairs if before is passed)
            else:
                found[operation.name] = operation
    return list(found.values())
