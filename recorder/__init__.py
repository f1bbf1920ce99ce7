"""Runs inside the training process: taps the tensors of each step and writes them to a trace.

`Recorder` and `DeepLocalize` are callbacks for ``fit`` of Keras and of the NumPy network;
`LoopRecorder` is for a training loop of one's own.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .keras_callback import Recorder
    from .loop import LoopRecorder
    from .online import DeepLocalize

__all__ = ["DeepLocalize", "LoopRecorder", "Recorder"]


_MODULES = {"LoopRecorder": ".loop", "DeepLocalize": ".online"}


def __getattr__(name: str) -> object:
    # Imported with the first use: Keras takes seconds and may be absent, and only `DeepLocalize`
    # needs the analyzer.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        importlib.import_module(".session", __name__)
    except ModuleNotFoundError as error:
        if error.name != "numba":
            raise
        raise ModuleNotFoundError(
            "recording wants numba, which is not installed; pip install 'deeplocalize[recorder]'",
            name="numba",
        ) from error
    return _recorder() if name == "Recorder" else _from(_MODULES[name], name)


def _recorder() -> object:
    """A callback of Keras's, which the NumPy network takes too; without Keras, of the latter."""
    try:
        return _from(".keras_callback", "Recorder")
    except ImportError:  # no Keras, or one without the framework that it is set to
        return _from(".numpynet_callback", "Recorder")


def _from(module: str, name: str) -> object:
    return getattr(importlib.import_module(module, __name__), name)
