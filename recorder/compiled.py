"""How this package has functions compiled by numba: without the interpreter's lock, and kept."""

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Any

import numba as nb

_C_OPTIONS = {"error_model": "numpy", "boundscheck": False}
_OPTIONS = {**_C_OPTIONS, "nogil": True}


def compiled_callback(signature: Any) -> Callable[[Any], Any]:
    """The same for what C code calls: gives an object with an ``address``."""

    def compile_now(function: Any) -> Any:
        with without_collections():
            try:
                return nb.cfunc(signature, cache=True, **_C_OPTIONS)(function)
            except RuntimeError:
                return nb.cfunc(signature, **_C_OPTIONS)(function)

    return compile_now


def compiled(**options: Any) -> Callable[[Any], Any]:
    """Numba's decorator, keeping what it compiles between runs where there is a place for that."""

    def compile_later(function: Any) -> Any:
        try:
            return nb.njit(cache=True, **_OPTIONS, **options)(function)
        except RuntimeError:  # neither this folder nor the user's can be written
            return nb.njit(**_OPTIONS, **options)(function)

    return compile_later


@contextlib.contextmanager
def without_collections() -> Iterator[None]:
    """Have no garbage collected meanwhile.

    Numba makes many objects that stay when it loads or compiles its first function, so that the
    collector looks through those of the whole program, TensorFlow's among them, again and again.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
