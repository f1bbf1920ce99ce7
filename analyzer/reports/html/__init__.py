"""The report for a browser: one file that needs nothing else and opens from the disk.

``page.html`` is the document, ``report.css`` its looks, ``report.js`` what it does. Text is
escaped by the template, which knows no other way to put in what a trace says.
"""

from deeplocalize.traces.interface import TraceReader

from ...diagnosis import Diagnosis
from ..style import PLAIN, Style
from .page import page
from .views import views_of


def render(diagnosis: Diagnosis, reader: TraceReader, style: Style = PLAIN) -> str:
    """The diagnosis with its plots as one HTML page; it has a style of its own.

    Raises
    ------
    TraceError
        The trace cannot be read.
    """
    del style
    return page(diagnosis, reader.header, views_of(reader, diagnosis))


__all__ = ["render"]
