"""One compiled pass over all tensors of a step: the same numbers as ``traces/statistics.py``.

A step has dozens of small tensors, so what counts is one call for all of them and one read of
each (``row_kernels.py``).
"""

import functools
import itertools
import operator
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplocalize.traces.schema import STATISTICS
from deeplocalize.traces.statistics import statistics_row

from .row_kernels import ALONE, FLOAT32, FLOAT64, INT64, READ_BESIDE, fill_rows

COLUMNS = tuple(column.name for column in STATISTICS)

ELEMENTS_WORTH_A_THREAD = 1 << 18
N_THREADS = max(2, min(4, os.cpu_count() or 1))
"""How many take statistics at the same time, while a step's own threads idle; beyond four, memory
is the limit."""

# What has to be the same for the next step to be read as the one before was.
_FORM = operator.attrgetter("__class__", "dtype", "shape", "strides")
# Squares below it lose digits.
_SMALLEST_RMS = 1e-150


def compile_kernels() -> None:
    """Compile, or load, all that `StepKernel` runs: a second or two where nothing is cached."""
    out = np.empty((1, len(COLUMNS)), np.int64)
    StepKernel([False])([np.zeros(1, np.float32)], [None], out)


class StepKernel:
    """Statistics of the same list of tensors, step after step.

    Parameters
    ----------
    has_units
        For each tensor whether units (slices along the last axis) are counted.
    """

    def __init__(self, has_units: Sequence[bool]) -> None:
        self._has_units = tuple(has_units)
        self._layout: list[Any] | None = None
        self._beside: NDArray[np.int64] | None = None

    def __call__(
        self,
        tensors: Sequence[NDArray[Any]],
        minus: Sequence[NDArray[Any] | None],
        out: NDArray[np.int64],
    ) -> None:
        """Fill ``out`` (tensors, statistics columns), the float columns as float64 bits.

        Where ``minus`` has an array, the statistics are of the difference of the two, taken in
        the tensors' own precision. Arrays may be of any real dtype, and not contiguous.
        """
        layout = [*map(_FORM, tensors), *(None if x is None else _FORM(x) for x in minus)]
        if layout != self._layout:
            self._set_layout(tensors, minus)
            self._layout = layout
        # Copies live in these lists as long as their addresses are in use.
        read = list(tensors)
        subtracted = list(minus)
        for k in self._wide:
            before = subtracted[k]
            read[k] = widened(read[k] if before is None else read[k] - before)
            subtracted[k] = None
        for k in self._scattered:
            read[k] = np.ascontiguousarray(read[k])
            before = subtracted[k]
            subtracted[k] = None if before is None else np.ascontiguousarray(before)
        beside = self._read_beside(read, subtracted)
        if self._beside is None or not np.array_equal(beside, self._beside):
            n_reads = 1 + np.array([x is not None for x in subtracted]) - (beside == READ_BESIDE)
            self._beside, self._parts = beside, _parts(self._sizes * n_reads)
        inputs: tuple[Any, ...] = (
            np.fromiter(map(id, read), np.uint64, len(read)),
            np.array([0 if x is None else id(x) for x in subtracted], np.uint64),
            beside,
            self._sizes,
            self._n_units,
            self._codes,
            out,
        )
        _fill(self._parts, inputs)
        for k in self._wide:
            if self._codes[k] == FLOAT64:
                mend_overflow(tensors[k], minus[k], out[k])

    def _read_beside(self, read: Sequence[Any], subtracted: Sequence[Any]) -> NDArray[np.int64]:
        """For each row which other one is filled with it, as `fill_rows` wants it."""
        beside = np.full(len(read), ALONE)
        rows = {
            id(x): k
            for k, x in enumerate(read)
            if subtracted[k] is None and not self._n_units[k] and self._codes[k] == FLOAT32
        }
        for k, before in enumerate(subtracted):
            other = None if before is None else rows.pop(id(before), None)
            if other is not None:
                beside[k], beside[other] = other, READ_BESIDE
        return beside

    def _set_layout(
        self, tensors: Sequence[NDArray[Any]], minus: Sequence[NDArray[Any] | None]
    ) -> None:
        """Note what stays the same from step to step while shapes and dtypes do."""
        self._wide = [k for k, x in enumerate(tensors) if x.dtype != np.float32]
        self._scattered = [
            k
            for k, pair in enumerate(zip(tensors, minus, strict=True))
            if not all(x is None or _is_plain(x) for x in pair)
        ]
        self._sizes = np.array([x.size for x in tensors], np.int64)
        self._codes = np.array([_code(x.dtype) for x in tensors], np.int64)
        counts_units = [
            has_units and before is None and x.ndim >= 2 and x.size > 0
            for has_units, before, x in zip(self._has_units, minus, tensors, strict=True)
        ]
        self._n_units = np.array(
            [x.shape[-1] if counts else 0 for counts, x in zip(counts_units, tensors, strict=True)],
            np.int64,
        )
        self._beside = None


def mend_overflow(x: NDArray[Any], before: NDArray[Any] | None, row: NDArray[np.int64]) -> None:
    """Take a row of float64 values anew where their squares over- or underflow.

    (The reference scales them.)
    """
    values = row.view(np.float64)
    if np.isnan(values[7]) or _SMALLEST_RMS < values[11] < np.inf:
        return
    reference = statistics_row(x if before is None else x - before)
    for column in ("mean", "mean_abs", "rms"):
        values[COLUMNS.index(column)] = reference[column]


def _fill(parts: Sequence[tuple[int, int]], inputs: tuple[Any, ...]) -> None:
    others: list[Future[None]] = []
    for part in parts[1:]:
        try:
            others.append(_threads().submit(fill_rows, *part, *inputs))
        except RuntimeError:  # the interpreter is about to exit, and its threads work no more
            fill_rows(*part, *inputs)
    fill_rows(*parts[0], *inputs)
    for other in others:
        other.result()


@functools.cache
def _threads() -> ThreadPoolExecutor:
    # A forked process has none of the threads, and waits for them without end.
    os.register_at_fork(after_in_child=_threads.cache_clear)
    return ThreadPoolExecutor(max_workers=N_THREADS - 1, thread_name_prefix="deeplocalize")


def _is_plain(x: NDArray[Any]) -> bool:
    # TensorFlow hands over scalars as NumPy scalars, which are no arrays.
    return isinstance(x, np.ndarray) and x.flags.c_contiguous


def _parts(sizes: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Ranges of tensors for one thread each, with about as much to read; ``sizes`` are that."""
    n_elements = int(sizes.sum())
    n_parts = min(N_THREADS, 1 + n_elements // ELEMENTS_WORTH_A_THREAD)
    shares = np.arange(1, n_parts) * n_elements / n_parts
    ends = np.searchsorted(np.cumsum(sizes), shares, side="right")
    return list(itertools.pairwise([0, *(int(end) for end in ends), len(sizes)]))


def _code(dtype: np.dtype[Any]) -> int:
    if dtype == np.float64:
        return FLOAT64
    return INT64 if dtype.kind in "iub" else FLOAT32


def widened(x: NDArray[Any]) -> NDArray[Any]:
    """The tensor in the nearest type that the kernel reads."""
    # float16, and bfloat16 or float8 from ml_dtypes, are all exact in float32
    types = {FLOAT64: np.float64, INT64: np.int64, FLOAT32: np.float32}
    # asarray: the difference of two arrays without axes is no array, but a scalar.
    return np.asarray(x).astype(types[_code(x.dtype)], copy=False)
