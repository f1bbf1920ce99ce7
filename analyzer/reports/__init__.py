"""Reports: siblings that turn a diagnosis and its trace into text."""

from collections.abc import Callable

from deeplocalize.traces.interface import TraceReader

from ..diagnosis import Diagnosis
from . import html, json, markdown, terminal
from .style import PLAIN, Style

REPORTS: dict[str, Callable[[Diagnosis, TraceReader, Style], str]] = {
    "text": terminal.render,
    "html": html.render,
    "json": json.render,
    "markdown": markdown.render,
}

__all__ = ["PLAIN", "REPORTS", "Style"]
