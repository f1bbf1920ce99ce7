"""What may not be observed in a TensorFlow graph, computed once more in a branch of it.

A tensor between two operations that TensorFlow fuses cannot have another consumer without
changing the step. But the operations that lead to it from tensors which are observed anyway can
be repeated: in a branch, which runs when a replay is due and else costs next to nothing. No
variable is touched and no random number drawn, so there is nothing to put back.

The branch also repeats, with nothing observed, what leads past each such tensor to the next one
that the step itself handed over. Where the two agree bit by bit, the repeated operations began
with the same numbers and do what those of the step did.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import tensorflow as tf

from .step_tensors import Tapped
from .tensorflow_graph import consumers_of

_Key = tuple[str, int]
"""An operation's name and which of its outputs is meant."""

# Their outputs are what they are for every consumer, and no pass rewrites operations across them.
_SOURCES = frozenset({"Placeholder", "ReadVariableOp", "Arg"})
_CONTROL_FLOW = frozenset({"Switch", "Merge", "Enter", "Exit", "NextIteration", "LoopCond"})
_TAG = "_deeplocalize_repetition"


@dataclass(frozen=True)
class Replayed:
    """What a replay computed: the ``values`` asked for, and what tells whether they are the step's.

    ``found`` are tensors of which the step has the true values, ``expected``. ``held`` only
    need a consumer.
    """

    values: Sequence[tf.Tensor]
    found: Sequence[tf.Tensor]
    expected: Sequence[tf.Tensor]
    held: Sequence[tf.Tensor] = ()


class Repetition:
    """The tensors of a traced step that a branch of it can compute.

    Parameters
    ----------
    left_out
        What may not be observed.
    observed
        What the step hands over, in the order of execution.
    """

    def __init__(self, left_out: Sequence[Tapped], observed: Sequence[tf.Tensor]) -> None:
        self._observed = observed
        given = {_key(value) for value in observed}
        leading = [(value, _leading_to(value, given - {_key(value)})) for value in observed]
        pairs = [
            (one, _first_after(one.value, leading))
            for one in left_out
            if _leading_to(one.value, given) is not None
        ]
        self.tapped = [one for one, witness in pairs if witness is not None]
        """Those that can be repeated."""
        self.owners = [one.layer for one in self.tapped]
        """The layer that each comparison speaks for."""
        self._witnesses = [witness for _, witness in pairs if witness is not None]

    def run(self) -> Replayed:
        """Compute them in the graph that is being built now; compares tensors that follow them."""
        values = [_repeat(one.value, self._observed, "observed")[0] for one in self.tapped]
        followed = [_repeat(witness, self._observed, "followed") for witness in self._witnesses]
        return Replayed(
            values,
            [found for found, _ in followed],
            self._witnesses,
            [tensor for _, held in followed for tensor in held],
        )


def _first_after(
    tensor: tf.Tensor, leading: Sequence[tuple[tf.Tensor, Mapping[str, tf.Operation] | None]]
) -> tf.Tensor | None:
    """The first tensor that the given one leads to, of those with the operations before them."""
    name = tensor.op.name
    return next(
        (after for after, operations in leading if operations is not None and name in operations),
        None,
    )


def _repeat(
    target: tf.Tensor, observed: Sequence[tf.Tensor], tag: str
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """The target computed anew, in the graph that is being built now, from those observed.

    Beside it, what the step uses elsewhere on the way to it, as in the backward pass: given a
    consumer here as well, operations are fused as they are there.

    Parameters
    ----------
    tag
        Keeps TensorFlow from merging these operations with equal ones of another tag.
    """
    leading = _leading_to(target, {_key(value) for value in observed} - {_key(target)})
    assert leading is not None
    graph = tf.compat.v1.get_default_graph()
    made: dict[_Key, tf.Tensor] = {}
    for operation in _in_order(leading):
        attributes = {
            name: value
            for name, value in operation.node_def.attr.items()
            if not name.startswith("_")
        }
        copy = graph.create_op(
            operation.type,
            [made.get(_key(value), value) for value in operation.inputs],
            [output.dtype for output in operation.outputs],
            attrs={**attributes, _TAG: tf.compat.v1.AttrValue(s=tag.encode())},
        )
        for old, new in zip(operation.outputs, copy.outputs, strict=True):
            made[_key(old)] = new
    held = [
        made[_key(output)]
        for operation in leading.values()
        for output in operation.outputs
        if any(user.name not in leading for user in consumers_of(output))
    ]
    return made[_key(target)], [tensor for tensor in held if tensor is not made[_key(target)]]


def _leading_to(target: tf.Tensor, given: set[_Key]) -> dict[str, tf.Operation] | None:
    """The operations between what is given and the target; None if one cannot be repeated."""
    found: dict[str, tf.Operation] = {}
    ahead = [target.op]
    while ahead:
        operation = ahead.pop()
        if operation.name in found or operation.type in _SOURCES:
            continue
        if not _is_pure(operation):
            return None
        found[operation.name] = operation
        ahead += [value.op for value in operation.inputs if _key(value) not in given]
    return found


def _in_order(operations: Mapping[str, tf.Operation]) -> list[tf.Operation]:
    """Every operation after those whose outputs it takes."""
    placed: dict[str, tf.Operation] = {}
    for begin in operations.values():
        pending = [begin]
        while pending:
            operation = pending[-1]
            ahead = [
                value.op
                for value in operation.inputs
                if value.op.name in operations and value.op.name not in placed
            ]
            if ahead:
                pending += ahead
            else:
                placed.setdefault(pending.pop().name, operation)
    return list(placed.values())


def _is_pure(operation: tf.Operation) -> bool:
    """Whether the operation depends on its inputs alone, and has no body of its own."""
    if operation.op_def is None or operation.op_def.is_stateful:
        return False
    if operation.type in _CONTROL_FLOW:
        return False
    return not any(value.HasField("func") for value in operation.node_def.attr.values())


def _key(tensor: tf.Tensor) -> _Key:
    return tensor.op.name, tensor.value_index
