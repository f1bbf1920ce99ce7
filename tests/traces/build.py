"""Small traces for tests: builders that show just the numbers that matter."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from deeplocalize.traces import (
    ITERATIONS,
    STATISTICS,
    Block,
    Header,
    Kind,
    Layer,
    Series,
    Table,
    TraceReader,
    create_writer,
    empty_block,
)
from deeplocalize.traces.blocks import with_checksum
from deeplocalize.traces.files import remove_trace
from deeplocalize.traces.hdf5 import ADDED, COUNTS

SUFFIXES = (".h5", ".parquet")


def header(n_series: int = 3, **facts: Any) -> Header:
    """A model of one dense layer whose weights have ``n_series`` series."""
    layer = Layer(0, "fc", "model/fc", "Dense", 0, activation="relu", config={"units": 4})
    series = tuple(Series(Kind.WEIGHT, i, layer=0, tensor=f"w{i}") for i in range(n_series))
    return Header(layers=(layer,), series=series, **facts)


def block(
    first: int = 0,
    n_rows: int = 4,
    n_series: int = 3,
    recorded: list[int] | None = None,
    seed: int = 0,
) -> Block:
    """Consecutive iterations with random values in every column, NaN and Inf among them."""
    random = np.random.default_rng([seed, first])
    numbers = np.arange(first, first + n_rows)
    iterations = {c.name: _random(random, c.dtype, (n_rows,)) for c in ITERATIONS}
    iterations["iteration"] = numbers
    chosen = numbers if recorded is None else np.array(recorded, dtype=np.int64)
    shape = (len(chosen), n_series)
    statistics = {c.name: _random(random, c.dtype, shape) for c in STATISTICS}
    return Block(Table(ITERATIONS, iterations), chosen, Table(STATISTICS, statistics))


def unrecorded_block(first: int, n_rows: int, n_series: int) -> Block:
    """Iterations in which every statistic is missing."""
    nothing = empty_block(n_series, n_rows)
    iterations = {name: nothing.iterations[name] for name in nothing.iterations.names}
    iterations["iteration"] = np.arange(first, first + n_rows)
    numbers = iterations["iteration"]
    return Block(Table(ITERATIONS, iterations), numbers, nothing.statistics)


def write_trace(path: Path, n_blocks: int = 3, n_series: int = 3) -> None:
    """A finished trace of ``n_blocks`` blocks of 4 iterations."""
    writer = create_writer(path)
    writer.write_header(header(n_series))
    for i in range(n_blocks):
        writer.append(block(4 * i, n_series=n_series))
    writer.close()


def widened(block: Block, n_series: int) -> Block:
    """The block with missing series on the right, as a reader gives it once they exist."""
    missing = empty_block(n_series, len(block.recorded)).statistics
    columns = {}
    for name in block.statistics.names:
        columns[name] = missing[name].copy()
        columns[name][:, : block.statistics.shape[1]] = block.statistics[name]
    return Block(block.iterations, block.recorded, Table(STATISTICS, columns))


def cut(block: Block, start: int, stop: int) -> Block:
    """Rows ``start`` to ``stop`` of a block."""
    iterations = block.iterations.rows(start, stop)
    numbers = iterations["iteration"]
    is_inside = np.isin(block.recorded, numbers)
    names = block.statistics.names
    statistics = {name: block.statistics[name][is_inside] for name in names}
    return Block(iterations, block.recorded[is_inside], Table(STATISTICS, statistics))


def with_version(path: Path, version: int) -> None:
    """A trace as a release with another format version would write it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deeplocalize.traces.header.FORMAT_VERSION", version)
        patch.setattr("deeplocalize.traces.hdf5.FORMAT_VERSION", version)
        remove_trace(path)
        write_trace(path)
    if path.suffix == ".h5":
        _remove_what_was_added(path, version)


def _remove_what_was_added(path: Path, version: int) -> None:
    """Leave of an HDF5 trace what an older format version has."""
    with h5py.File(path, "r+") as file:
        counts = dict(zip(COUNTS, file["committed"][:-1], strict=True))
        del file["committed"]
        for name in [name for name, since in ADDED.items() if since > version]:
            del file[name], counts[name]
        file["committed"] = with_checksum(np.array(list(counts.values()), dtype=np.int64))


def joined(*blocks: Block) -> Block:
    """The blocks as one."""
    return Block(
        _joined_tables([block.iterations for block in blocks]),
        np.concatenate([block.recorded for block in blocks]),
        _joined_tables([block.statistics for block in blocks]),
    )


def assert_same(found: Block, expected: Block) -> None:
    """Equal bit for bit, NaN payloads aside."""
    np.testing.assert_array_equal(found.recorded, expected.recorded)
    assert found.recorded.dtype == np.int64
    for got, wanted in (
        (found.iterations, expected.iterations),
        (found.statistics, expected.statistics),
    ):
        assert got.names == wanted.names
        for name in wanted.names:
            assert got[name].dtype == wanted[name].dtype
            np.testing.assert_array_equal(got[name], wanted[name], err_msg=name)


def assert_same_trace(found: TraceReader, expected: TraceReader) -> None:
    """Everything that a reader gives is equal."""
    assert found.header == expected.header
    assert_same(found.read(), expected.read())
    assert list(found.events()) == list(expected.events())
    assert list(found.histograms()) == list(expected.histograms())
    entries = zip(found.tensor_entries(), expected.tensor_entries(), strict=True)
    for got, wanted in entries:
        assert (got.iteration, got.series) == (wanted.iteration, wanted.series)
        assert_same_array(found.read_tensor(got), expected.read_tensor(wanted))


def assert_same_array(found: NDArray[Any], expected: NDArray[Any]) -> None:
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == expected.tobytes()


def _joined_tables(tables: list[Table]) -> Table:
    names = tables[0].names
    return Table(tables[0].schema, {n: np.concatenate([t[n] for t in tables]) for n in names})


def _random(random: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    if dtype == "float64":
        values = random.normal(size=shape)
        return np.where(
            random.random(shape) < 0.2, random.choice([np.nan, np.inf, -np.inf]), values
        )
    largest = 2**63 if dtype == "uint64" else 50
    return random.integers(0, largest, size=shape).astype(dtype)
