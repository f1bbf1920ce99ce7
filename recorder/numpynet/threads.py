"""How many threads the matrix products of a training may use: one.

Products of a batch of 32 are so small that a second thread gains nothing, and when other programs
share the cores, waiting for it makes a step ten times slower (OpenBLAS's threads spin).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread inside the block, where threadpoolctl is installed.

    The limit holds for the whole process until the block ends; then it is as before.
    """
    controller = _controller()
    if controller is None:
        yield
        return
    with controller.limit(limits=1, user_api="blas"):
        yield


@cache
def _controller() -> Any:
    """Finding the libraries takes a millisecond; NumPy's is loaded by now and stays."""
    try:
        from threadpoolctl import (  # type: ignore[import-untyped]  # it has no types
            ThreadpoolController,
        )
    except ImportError:
        return None
    return ThreadpoolController()
