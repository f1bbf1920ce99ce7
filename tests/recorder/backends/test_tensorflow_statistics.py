"""TensorFlow's own operations compute what the NumPy definition says, on whatever device."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from deeplocalize.traces.statistics import statistics_row

from ..rows import Row, assert_same, float32_values, row_of_bits

tf = pytest.importorskip("tensorflow")
statistics_rows = pytest.importorskip(
    "deeplocalize.recorder.backends.tensorflow_statistics"
).statistics_rows

BFLOAT16 = tf.bfloat16.as_numpy_dtype
TYPES = ["float32", "float64", "float16", BFLOAT16, "int64", "int32", "uint8", "bool"]
SHAPES = [(), (0,), (1,), (0, 3), (3, 0), (33, 7), (4, 5, 3)]

# Sums are in float64; TensorFlow's threads take subnormal numbers for 0.
RELATIVE = 1e-12
SUBNORMAL = float(np.finfo(np.float32).smallest_normal)


def mixed() -> list[NDArray[Any]]:
    """A tensor of each type and shape, with zeros and what is not finite."""
    rng = np.random.default_rng(0)
    arrays = []
    for dtype in TYPES:
        for shape in SHAPES:
            x = np.maximum(rng.normal(size=shape) * 30, 0).astype(dtype)
            if x.ndim > 1 and x.size:
                x[..., 1] = 0
                x[..., 2] = 1
            if x.ndim == 2 and x.size and x.dtype.kind not in "iub":
                x[:4, 0] = -0.0, np.nan, np.inf, -np.inf
            arrays.append(x)
    return arrays


def rows_of(rows: Any) -> list[Row]:
    return [row_of_bits(bits) for bits in rows.numpy()]


def assert_rows(
    rows: Any, arrays: Sequence[NDArray[Any]], has_units: bool, absolute: float = 0
) -> None:
    for row, x in zip(rows_of(rows), arrays, strict=True):
        assert_same(row, statistics_row(x, has_units), RELATIVE, absolute)


def reduced_in_graph(arrays: Sequence[NDArray[Any]], shapes: Sequence[Any]) -> Any:
    def step(*tensors: Any) -> Any:
        return statistics_rows(tensors, [None] * len(tensors), [True] * len(tensors))

    signature = [tf.TensorSpec(shape, x.dtype) for x, shape in zip(arrays, shapes, strict=True)]
    return tf.function(step, input_signature=signature)(*arrays)


def test_every_dtype_and_shape_gives_the_defined_row_where_shapes_are_known() -> None:
    # XLA takes a while for each shape.
    arrays = [x for x in mixed() if x.shape in ((), (0, 3), (33, 7))]
    assert_rows(reduced_in_graph(arrays, [x.shape for x in arrays]), arrays, has_units=True)


def test_every_dtype_and_shape_gives_the_defined_row_where_shapes_are_unknown() -> None:
    arrays = mixed()
    assert_rows(reduced_in_graph(arrays, [[None] * x.ndim for x in arrays]), arrays, True)


def test_rows_keep_their_order_where_some_shapes_are_unknown() -> None:
    arrays = [np.full((k + 2, 3), k, np.float32) for k in range(6)]
    shapes = [(None, None), (3, 3), (None, 3), (5, 3), (None, 3), (None, None)]
    assert_rows(reduced_in_graph(arrays, shapes), arrays, has_units=True)


def test_no_units_are_counted_where_the_number_of_axes_is_unknown() -> None:
    x = np.ones((4, 3), np.float32)
    assert_rows(reduced_in_graph([x], [None]), [x], has_units=False)


def test_no_tensors_give_no_rows() -> None:
    assert statistics_rows([], [], []).shape == (0, 13)


@given(hnp.arrays(np.float32, (4, 3), elements=float32_values))
@settings(max_examples=200, deadline=None)
def test_any_float32_tensor_gives_the_defined_row(x: NDArray[np.float32]) -> None:
    rows = statistics_rows([tf.constant(x)], [None], [True])
    assert_rows(rows, [x], has_units=True, absolute=SUBNORMAL)


def test_tiny_and_huge_values_keep_their_rms() -> None:
    singles = [np.full(50, x, np.float32) for x in (1e-30, 1e-12, 1e12, 3e38)]
    doubles = [np.full(50, x) for x in (1e-300, 1e300)]
    arrays = [*singles, *doubles, np.array([-(2**63), 2**63 - 1, 0])]
    rows = statistics_rows([tf.constant(x) for x in arrays], [None] * 7, [False] * 7)
    assert_rows(rows, arrays, has_units=False)


def test_a_mean_over_a_million_values_that_nearly_cancel_keeps_its_digits() -> None:
    x = np.random.default_rng(1).normal(size=1_000_000).astype(np.float32)
    assert_rows(statistics_rows([tf.constant(x)], [None], [False]), [x], has_units=False)


@pytest.mark.parametrize("compiles", [True, False])
def test_a_difference_is_taken_in_the_tensors_own_precision(compiles: bool) -> None:
    rng = np.random.default_rng(2)
    types = ["float32", "float64", "float16", BFLOAT16, "int32"]
    after, before = (
        [(10 * rng.normal(size=(23, 5))).astype(dtype) for dtype in types] for _ in range(2)
    )
    shape = (23, 5) if compiles else (None, None)

    def step(after: Any, before: Any) -> Any:
        return statistics_rows(after, before, [False] * len(types))

    differences = [x - y for x, y in zip(after, before, strict=True)]
    signature = [[tf.TensorSpec(shape, dtype) for dtype in types]] * 2
    rows = tf.function(step, input_signature=signature)(after, before)
    assert_rows(rows, differences, has_units=False)
