"""Post-mortem analysis of traces, anywhere, without the framework that was recorded."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .analysis import analyze
    from .diagnosis import Diagnosis, diagnose
    from .verdict import Verdict
    from .whatif import verify

__all__ = ["Diagnosis", "Verdict", "analyze", "diagnose", "verify"]

_MODULES = {
    "Diagnosis": ".diagnosis",
    "Verdict": ".verdict",
    "analyze": ".analysis",
    "diagnose": ".diagnosis",
    "verify": ".whatif",
}


def __getattr__(name: str) -> object:
    # Imported with the first use: pandas and all take seconds, in which the command line is to
    # listen to Ctrl-C already.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name], __name__), name)
