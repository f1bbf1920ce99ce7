"""The options of `Recorder` as a table for ``docs/recording.md``, from its own docstring."""

import inspect
import re

from .recorder import TrainingRecorder


def options_markdown() -> str:
    """One row per parameter, with its default."""
    text = inspect.getdoc(TrainingRecorder) or ""
    section = re.search(r"Parameters\n-+\n(.*?)\n\n", text, re.DOTALL)
    assert section is not None, "the docstring has parameters"
    meanings = re.findall(r"^(\w+)\n((?:    .*\n?)+)", section[1] + "\n", re.MULTILINE)
    defaults = inspect.signature(TrainingRecorder).parameters
    rows = (
        f"| `{name}` | {_default(defaults[name])} | {' '.join(meaning.split())} |\n"
        for name, meaning in meanings
    )
    return "| option | default | meaning |\n| --- | --- | --- |\n" + "".join(rows)


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return "(required)"
    return f"`{parameter.default!r}`"
