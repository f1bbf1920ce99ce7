"""Full tensors: every dtype, shape and bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deeplocalize.traces import (
    Tensor,
    create_writer,
    open_reader,
)
from deeplocalize.traces.tensors import DTYPES

from ..build import (
    assert_same_array,
    header,
)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 0, 3), (2, 3, 4)])
def test_tensors_of_every_dtype_and_shape_come_back(
    path: Path, dtype: str, shape: tuple[int, ...]
) -> None:
    values = np.random.default_rng(0).integers(0, 2, size=shape).astype(dtype)
    assert_same_array(_stored(path, values), values)


def test_nan_payloads_infinities_and_signed_zeros_of_tensors_survive(path: Path) -> None:
    bits = np.array([0x7FC00001, 0xFFC12345, 0x7F800000, 0xFF800000, 0x80000000, 1], np.uint32)
    values = bits.view(np.float32)
    assert_same_array(_stored(path, values), values)


def test_tensors_of_any_memory_order_come_back_in_c_order(path: Path) -> None:
    values = np.arange(24.0).reshape(2, 3, 4)
    assert_same_array(_stored(path, values.transpose(2, 0, 1)), values.transpose(2, 0, 1).copy())


def test_big_endian_tensors_come_back_as_the_machine_has_them(path: Path) -> None:
    values = np.arange(5, dtype=">f4")
    assert_same_array(_stored(path, values), np.arange(5, dtype="f4"))


def test_bfloat16_comes_back_as_the_float32_that_holds_it(path: Path) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    values = np.array([1.0, -2.5, np.inf, 3e38], dtype=ml_dtypes.bfloat16)
    assert_same_array(_stored(path, values), values.astype(np.float32))


def test_tensors_of_objects_are_refused(path: Path) -> None:
    writer = create_writer(path)
    writer.write_header(header())
    with pytest.raises(ValueError, match="object"):
        writer.append_tensors([Tensor(0, 0, np.array([None]))])
    writer.close()


def test_a_buffer_may_be_used_again_after_its_tensor_was_appended(path: Path) -> None:
    buffer = np.ones(4)
    writer = create_writer(path)
    writer.write_header(header())
    writer.append_tensors([Tensor(0, 0, buffer)])
    buffer[:] = 7
    writer.close()
    reader = open_reader(path)
    assert reader.read_tensor(reader.tensor_entries()[0]).tolist() == [1, 1, 1, 1]


def test_many_large_tensors_are_found_one_by_one(path: Path) -> None:
    tensors = [Tensor(i, i % 3, np.full(300_000, i)) for i in range(12)]
    writer = create_writer(path)
    writer.write_header(header())
    writer.append_tensors(tensors[:10])
    writer.append_tensors(tensors[10:])
    writer.close()
    reader = open_reader(path)
    entries = reader.tensor_entries()
    assert [(e.iteration, e.series) for e in entries] == [(t.iteration, t.series) for t in tensors]
    for entry, tensor in zip(entries, tensors, strict=True):
        assert_same_array(reader.read_tensor(entry), tensor.values)


def _stored(path: Path, values: NDArray[Any]) -> NDArray[Any]:
    """A tensor after its way through a trace."""
    writer = create_writer(path)
    writer.write_header(header())
    writer.append_tensors([Tensor(7, 1, values)])
    writer.close()
    reader = open_reader(path)
    (entry,) = reader.tensor_entries()
    assert (entry.iteration, entry.series, entry.shape) == (7, 1, values.shape)
    return reader.read_tensor(entry)
