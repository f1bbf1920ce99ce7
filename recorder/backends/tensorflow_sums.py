"""Keep TensorFlow's memory optimizer from rewriting sums in a recorded step.

Where the optimizer expects a step to need most of a device's memory, it replaces sums of three
and more tensors that are live at the peak (``AddN``) by additions to a temporary variable, in
whatever order the tensors arrive. A training with such sums differs from its own repetition;
and to observe a tensor can move the peak, hence start the rewriting in a step that was left alone
before. Without it, a recorded training equals every unrecorded one that is repeatable.
"""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2
from tensorflow.python.eager import context

_DEFAULT = rewriter_config_pb2.RewriterConfig.DEFAULT_MEM_OPT

# The default, less the rewriting of sums.
_WITHOUT_SUMS = rewriter_config_pb2.RewriterConfig.SWAPPING_HEURISTICS


def leaving_sums(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same compiled function, optimized without the rewriting of sums.

    Where TensorFlow has no such option any more, or XLA chooses what it compiles (then the memory
    optimizer is off), it is the function itself.
    """
    if tf.config.optimizer.get_jit():
        return function
    try:
        without_sums = _without_sums(context.context().function_call_options)
    except AttributeError:
        return function

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        eager = context.context()
        usual, eager.function_call_options = eager.function_call_options, without_sums
        try:
            return function(*args)
        finally:
            eager.function_call_options = usual

    return call


def _without_sums(usual: Any) -> Any:
    """The options of a call, which the user may have set, with another memory optimization."""
    config = config_pb2.ConfigProto.FromString(usual.config_proto_serialized)
    rewriting = config.graph_options.rewrite_options
    if rewriting.memory_optimization == _DEFAULT:
        rewriting.memory_optimization = _WITHOUT_SUMS
    return context.FunctionCallOptions(usual.executor_type, config)
