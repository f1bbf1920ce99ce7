"""What the recorder tells the person while a training goes on."""

import contextlib
import traceback
import warnings
from pathlib import Path

from deeplocalize.traces.errors import TraceError

_OURS = [Path(__file__).parents[1] / name for name in ("recorder", "traces")]


def warn(message: str, stacklevel: int = 2) -> None:
    """Give a ``RuntimeWarning``; where warnings are errors, it does not end the training.

    Parameters
    ----------
    stacklevel
        Whose line is shown: 1 is the caller's, 2 that of the caller's caller, and so on.
    """
    with contextlib.suppress(RuntimeWarning):
        warnings.warn(message, RuntimeWarning, stacklevel=stacklevel + 1)


class RefusalError(Exception):
    """Why something is not recorded, in words for whoever trains."""


def told(error: Exception) -> str:
    """An error in a warning: in its own words, or with the line of the user's code that raised it.

    Errors of traces and refusals are written for whoever reads them; others come from functions of
    the user's own, such as a schedule, or from a defect of ours.
    """
    if isinstance(error, TraceError | RefusalError):
        return str(error)
    raised = f"{type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f"{f.filename}:{f.lineno}" for f in frames if not _is_installed(f.filename)]
    return f"{raised}, at {lines[-1]}" if lines else raised


def _is_installed(filename: str) -> bool:
    """Whether code is ours, or of a package."""
    path = Path(filename)
    return "site-packages" in path.parts or any(map(path.is_relative_to, _OURS))
