"""Where a program can be changed: indices of its layers."""

from ..program import Program

_WEIGHTED = frozenset({"Dense", "Conv2D", "Conv1D", "LSTM", "GRU", "SimpleRNN"})


def weighted(program: Program) -> list[int]:
    """Indices of layers with a kernel."""
    return [i for i, one in enumerate(program.layers) if one["class"] in _WEIGHTED]


def hidden(program: Program) -> list[int]:
    """Weighted layers but the last."""
    return weighted(program)[:-1]


def middle(program: Program) -> list[int]:
    """Hidden layers but the first."""
    return hidden(program)[1:] or hidden(program)


def output(program: Program) -> list[int]:
    """The last weighted layer."""
    return weighted(program)[-1:]


def whole(program: Program) -> list[int]:
    """No place in particular."""
    return [0]
