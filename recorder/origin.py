"""When, and by which release, a trace is made."""

import datetime
import importlib.metadata
from dataclasses import replace

from deeplocalize.traces.header import Header


def with_origin(header: Header) -> Header:
    """The header with the present moment (ISO 8601, UTC, whole seconds) and our version.

    The version is that of the installed package; empty for a checkout that is merely on the path.
    """
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    try:
        version = importlib.metadata.version("deeplocalize")
    except importlib.metadata.PackageNotFoundError:
        version = ""
    return replace(header, created=created, deeplocalize_version=version)
