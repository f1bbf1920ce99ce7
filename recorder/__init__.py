"""Runs inside the training process: taps the tensors of each step and writes them to a trace."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .keras_callback import Recorder

__all__ = ["Recorder"]


def __getattr__(name: str) -> object:
    # Keras takes seconds to import and may be absent, so it is imported with the first use.
    if name == "Recorder":
        from .keras_callback import Recorder

        return Recorder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
