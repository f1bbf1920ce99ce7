"""Rows of statistics, as kernels fill them in, against the NumPy definition."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from deeplocalize.traces.schema import STATISTICS

Row = dict[str, int | float]

COUNTS = [c.name for c in STATISTICS if c.dtype != "float64"]

float32_values = st.floats(width=32) | st.sampled_from([0.0, -0.0, 1.0, float("nan"), float("inf")])

float32_arrays = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=9),
    elements=float32_values,
)


def row_of_bits(bits: NDArray[np.int64]) -> Row:
    """The columns of one row by name, each in its own type."""
    return {
        column.name: bits[k : k + 1].view(column.numpy_dtype).item()
        for k, column in enumerate(STATISTICS)
    }


def assert_same(row: Row, reference: Row, relative: float = 2e-6, absolute: float = 0) -> None:
    """Counts are equal, and means within a tolerance; ``absolute`` holds for all floats."""
    assert {k: row[k] for k in COUNTS} == {k: reference[k] for k in COUNTS}
    for name in ("min", "max"):
        np.testing.assert_allclose(row[name], reference[name], rtol=0, atol=absolute)
    for name in ("mean_abs", "rms"):
        np.testing.assert_allclose(row[name], reference[name], rtol=relative, atol=absolute)
    slack = np.nan_to_num(relative * reference["mean_abs"]) + absolute
    np.testing.assert_allclose(row["mean"], reference["mean"], rtol=relative, atol=slack)
