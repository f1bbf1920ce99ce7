"""JSON documents of one line that carry their own checksum.

A header or a journal line whose bytes were damaged on disk would often still be JSON, with
another number or name in it. The checksum stands inside the document, so that it stays plain
JSON for other tools. What the documents say is left to their writers.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from .errors import TraceFormatError

_PREFIX = '{{"crc32": "{:08x}", '
_PREFIX_LENGTH = len(_PREFIX.format(0))


def to_json(document: Any) -> str:
    """One line of JSON for a mapping or a dataclass.

    NumPy scalars and arrays become numbers and lists; other values that JSON does not know
    (objects in a layer's config, say) become their ``str``. NaN and Inf are written as Python
    does (``NaN``, ``Infinity``).
    """
    return json.dumps(_plain(document), default=_plain, skipkeys=True)


def seal(text: str) -> bytes:
    """A non-empty JSON object in one line, with a ``crc32`` of the rest as its first entry."""
    rest = text[1:].encode()
    return _PREFIX.format(zlib.crc32(rest)).encode() + rest


def unseal(data: bytes, source: str) -> dict[str, Any]:
    """Check and parse what `seal` wrote.

    Raises
    ------
    TraceFormatError
        The bytes are not what was written; the message begins with ``source``.
    """
    prefix, rest = data[:_PREFIX_LENGTH], data[_PREFIX_LENGTH:]
    if prefix != _PREFIX.format(zlib.crc32(rest)).encode():
        raise TraceFormatError(f"{source} is damaged: its checksum does not match")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise TraceFormatError(f"{source} is damaged: {error}") from error
    assert isinstance(document, dict), "the prefix opens an object"
    return document


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return list(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return str(value)
