"""How this package has functions compiled by numba: without the interpreter's lock, and kept."""

from collections.abc import Callable
from typing import Any

import numba as nb

_OPTIONS = {"error_model": "numpy", "nogil": True, "boundscheck": False}


def compiled(**options: Any) -> Callable[[Any], Any]:
    """Numba's decorator, keeping what it compiles between runs where there is a place for that."""

    def compile_later(function: Any) -> Any:
        try:
            return nb.njit(cache=True, **_OPTIONS, **options)(function)
        except RuntimeError:  # neither this folder nor the user's can be written
            return nb.njit(**_OPTIONS, **options)(function)

    return compile_later
