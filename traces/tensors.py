"""Full tensors as bytes: little-endian values in C order, with a dtype name and a shape."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import TraceFormatError

DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)


def storable(values: NDArray[Any]) -> NDArray[Any]:
    """The values in a dtype of `DTYPES`, little-endian and contiguous.

    bfloat16 and the 8-bit floats, which NumPy itself lacks, become float32, which holds them
    exactly.

    Raises
    ------
    ValueError
        Values of any other dtype (objects, strings, ...).
    """
    array = np.asarray(values)
    name = array.dtype.name
    if name.startswith(("bfloat", "float8", "float6", "float4")) and name not in DTYPES:
        array = array.astype(np.float32)
    if array.dtype.name not in DTYPES:
        raise ValueError(f"tensors of dtype {name} cannot be stored, only {', '.join(DTYPES)}")
    little_endian = array.dtype.newbyteorder("<")
    # ascontiguousarray would give a scalar an axis.
    return array.astype(little_endian, order="C", copy=False)


def tensor_from_bytes(
    data: bytes | NDArray[np.uint8], dtype: str, shape: tuple[int, ...], source: str
) -> NDArray[Any]:
    """The tensor whose `storable` bytes are given, as a new array in the machine's byte order.

    Raises
    ------
    TraceFormatError
        An unknown dtype, or not as many bytes as dtype and shape need.
    """
    if n_bytes(dtype, shape, source) != len(data):
        raise TraceFormatError(f"{source}: {len(data)} bytes for a {dtype} tensor of {shape}")
    stored = np.frombuffer(data, dtype=np.dtype(dtype).newbyteorder("<"))
    return stored.astype(np.dtype(dtype)).reshape(shape)


def check_series(series: int, n_series: int, source: str) -> None:
    """Refuse a tensor of a series that the header lacks, with TraceFormatError."""
    if not 0 <= series < n_series:
        raise TraceFormatError(f"{source}: a tensor of series {series}, there are {n_series}")


def n_bytes(dtype: str, shape: tuple[int, ...], source: str) -> int:
    """How many bytes a stored tensor takes; TraceFormatError for what cannot be a tensor."""
    if dtype not in DTYPES or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise TraceFormatError(f"{source}: no tensor has dtype {dtype!r} and shape {shape!r}")
    return math.prod(shape) * np.dtype(dtype).itemsize
