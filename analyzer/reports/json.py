"""The JSON report: the contract that other programs read."""

from deeplocalize.traces.interface import TraceReader

from ..diagnosis import Diagnosis
from .style import PLAIN, Style


def render(diagnosis: Diagnosis, reader: TraceReader, style: Style = PLAIN) -> str:
    """The diagnosis as strict JSON, one document; everything is in it whatever the style."""
    del reader, style
    return diagnosis.to_json() + "\n"
