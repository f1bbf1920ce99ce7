"""Tensors that are held in TensorFlow's memory, as arrays where somebody looks at them."""

import ctypes
import functools
import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..step_values import ABSENT
from .tensorflow_c_api import library
from .tensorflow_calls import release


class HeldTensors(Sequence[NDArray[Any]]):
    """The tensors of one step, held as long as this or one of its arrays is there.

    Parameters
    ----------
    handles
        (tensors,) int64, addresses of ``TF_Tensor``, which become this object's; 0: not held.
    """

    def __init__(self, handles: NDArray[np.int64]) -> None:
        self._handles = handles

    def __del__(self) -> None:
        if not sys.is_finalizing():  # then compiled code cannot be called, and all memory goes
            release(self._handles)

    def __len__(self) -> int:
        return len(self._handles)

    @property
    def is_complete(self) -> bool:
        """Whether all of them are held."""
        return bool(self._handles.all())

    def __getitem__(self, k: Any) -> Any:
        """A view of a tensor's own memory, read-only; `ABSENT` where it is not held."""
        functions, handle = library(), int(self._handles[k])
        if not handle:
            return ABSENT
        axes = range(functions.TF_NumDims(handle))
        shape = tuple([functions.TF_Dim(handle, axis) for axis in axes])
        dtype = _numpy_dtype(functions.TF_TensorType(handle))
        n_bytes = dtype.itemsize * math.prod(shape)
        if not n_bytes:
            return np.empty(shape, dtype)
        memory = (ctypes.c_char * n_bytes).from_address(functions.TF_TensorData(handle))
        memory.tensors = self  # lives as long as the array does, which keeps its memory
        array: NDArray[Any] = np.ndarray(shape, dtype, buffer=memory)
        array.flags.writeable = False
        return array


@functools.cache
def _numpy_dtype(tensorflow_type: int) -> np.dtype[Any]:
    found: np.dtype[Any] = np.dtype(tf.as_dtype(tensorflow_type).as_numpy_dtype)
    return found


class Chosen(Sequence[Any]):
    """Some of a sequence's entries, by their places; None where there is none."""

    def __init__(self, entries: Sequence[Any], places: Sequence[int | None]) -> None:
        self._entries = entries
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, k: Any) -> Any:
        place = self._places[k]
        return None if place is None else self._entries[place]
