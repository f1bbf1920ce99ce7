"""Dataclasses from JSON documents, checked field by field against the types they declare.

A header or an event may have been written by another program, or edited by hand; what is wrong
with one is said once, here, so that everybody else can rely on the types.
"""

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import TraceFieldError

T = TypeVar("T")

_LARGEST = (1 << 63) - 1


@dataclass(frozen=True)
class AtLeast:
    """Annotates an integer field: the smallest value that makes sense."""

    smallest: int


Count = Annotated[int, AtLeast(0)]
"""An integer that is not negative."""


def from_document(cls: type[T], document: Any, source: str) -> T:
    """The dataclass whose fields a JSON object holds; fields that it lacks are ignored.

    Integers are those of 64 bits, and booleans are none; lists become tuples. The values of
    a ``Mapping[str, Any]`` are taken as they are.

    Raises
    ------
    TraceFieldError
        A field is missing or of another type; the message begins with ``source`` and names it.
    """
    try:
        value: T = _converter(cls)(document)
    except RecursionError:
        raise TraceFieldError(f"{source}: nested too deeply") from None
    except _UnfitError as unfit:
        place = "".join(unfit.path).removeprefix(".") or "the document"
        raise TraceFieldError(f"{source}: {place}: {unfit.reason}") from None
    return value


class _UnfitError(Exception):
    """A value that is not of its type; the path to it grows on the way up."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path: list[str] = []


_Converter = Callable[[Any], Any]


def _converter(declared: Any) -> _Converter:
    """The function that checks a value against a declared type and gives it that type."""
    return _made_converter(declared)


@cache
def _made_converter(declared: Any) -> _Converter:
    origin, arguments = get_origin(declared), get_args(declared)
    if declared is Any:
        return _tuples
    if origin is Annotated:
        return _bounded(arguments[1].smallest)
    if origin in (Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not types.NoneType)
        convert = _converter(inner)
        return lambda value: None if value is None else convert(value)
    if origin is tuple:
        return _tuple_of(_converter(arguments[0]))
    if origin is Mapping:
        return _mapping_of(_as_is if arguments[1] is Any else _converter(arguments[1]))
    if is_dataclass(declared):
        return _dataclass_of(declared)
    if issubclass(declared, StrEnum):
        return _member_of(declared)
    return {int: _bounded(-_LARGEST - 1), float: _number, str: _text, bool: _boolean}[declared]


def _dataclass_of(cls: Any) -> _Converter:
    hints = get_type_hints(cls, include_extras=True)
    converters = {field.name: _converter(hints[field.name]) for field in fields(cls)}
    required = [
        field.name
        for field in fields(cls)
        if field.default is MISSING and field.default_factory is MISSING
    ]

    def convert(value: Any) -> Any:
        if not isinstance(value, dict):
            raise _wanted("an object", value)
        for name in required:
            if name not in value:
                raise _below(f".{name}", _UnfitError("is missing"))
        known = {}
        for name in converters.keys() & value.keys():
            known[name] = _inside(f".{name}", converters[name], value[name])
        return cls(**known)

    return convert


def _tuple_of(item: _Converter) -> _Converter:
    def convert(value: Any) -> Any:
        if not isinstance(value, list):
            raise _wanted("a list", value)
        return tuple(_inside(f"[{i}]", item, one) for i, one in enumerate(value))

    return convert


def _mapping_of(item: _Converter) -> _Converter:
    def convert(value: Any) -> Any:
        if not isinstance(value, dict):
            raise _wanted("an object", value)
        return {key: _inside(f".{key}", item, one) for key, one in value.items()}

    return convert


def _member_of(names: type[StrEnum]) -> _Converter:
    def convert(value: Any) -> Any:
        if value not in list(names):
            raise _wanted(f"one of {', '.join(names)}", value)
        return names(value)

    return convert


def _bounded(smallest: int) -> _Converter:
    wanted = "an integer" if smallest < -1 else f"an integer from {smallest} on"

    def convert(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wanted(wanted, value)
        if not smallest <= value <= _LARGEST:
            raise _wanted(wanted, value)
        return value

    return convert


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wanted("a number", value)
    try:
        return float(value)
    except OverflowError:
        raise _wanted("a number", value) from None


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise _wanted("a text", value)
    return value


def _boolean(value: Any) -> Any:
    if not isinstance(value, bool):
        raise _wanted("true or false", value)
    return value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(one) for one in value) if isinstance(value, list) else value


def _as_is(value: Any) -> Any:
    return value


def _inside(step: str, convert: _Converter, value: Any) -> Any:
    try:
        return convert(value)
    except _UnfitError as unfit:
        raise _below(step, unfit) from None


def _below(step: str, unfit: _UnfitError) -> _UnfitError:
    unfit.path.insert(0, step)
    return unfit


def _wanted(what: str, found: Any) -> _UnfitError:
    shown = repr(found)
    return _UnfitError(f"wanted {what}, found {shown if len(shown) <= 60 else shown[:57] + '...'}")
