"""Reports: functions from a diagnosis to text, siblings of one signature."""

from collections.abc import Callable

from ..diagnosis import Diagnosis
from . import json, terminal

REPORTS: dict[str, Callable[[Diagnosis, bool], str]] = {
    "text": terminal.render,
    "json": json.render,
}

__all__ = ["REPORTS"]
