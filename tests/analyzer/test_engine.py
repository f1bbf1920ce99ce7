import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest

from deeplocalize.analyzer.chunks import rows_per_chunk
from deeplocalize.analyzer.engine import replay
from deeplocalize.analyzer.findings import find
from deeplocalize.traces.header import Header
from deeplocalize.traces.schema import Kind
from deeplocalize.traces.table import Block, Table

from .runs import HEADER, FakeRun, MemoryReader


def mixed_run() -> FakeRun:
    """A run with symptoms of every extent, and rows that were not recorded."""
    run = FakeRun(130).zero(slice(30, None), Kind.OUTPUT, "fc1")
    run.zero(slice(50, None), Kind.WEIGHT_GRADIENT, "fc1", "kernel")
    run.put(slice(70, 80), Kind.OUTPUT, "mid", n_neginf=4)
    run.put(slice(40, 60), Kind.OUTPUT, "fc1", n=-1)
    return run.put(slice(100, None), Kind.STATE, "mid", n_nan=1)


class EndlessReader(MemoryReader):
    """A healthy trace of any length whose rows are made when they are asked for."""

    def __init__(self, header: Header, n_iterations: int) -> None:
        self._run = FakeRun(512, header)
        self._source = self._run.block()
        self._n = n_iterations
        super().__init__(header, self._source)

    @property
    def n_iterations(self) -> int:
        return self._n

    def iterations(self, start: int = 0, stop: int | None = None) -> Table:
        number = np.arange(start, self._n if stop is None else stop)
        columns = {
            name: self._source.iterations[name][number % 512]
            for name in self._source.iterations.names
        }
        return Table(self._source.iterations.schema, {**columns, "iteration": number})

    def read(
        self, start: int = 0, stop: int | None = None, columns: Sequence[str] | None = None
    ) -> Block:
        rows = self.iterations(start, stop)
        statistics = self._source.statistics
        names = statistics.names if columns is None else columns
        place = rows["iteration"] % 512
        chosen = {name: statistics[name][place] for name in names}
        return Block(rows, rows["iteration"], Table(statistics.schema, chosen))


@pytest.mark.parametrize("chunk_bytes", [1, 20_000, 50_000, 10**9])
def test_findings_do_not_depend_on_the_size_of_the_chunks(chunk_bytes: int) -> None:
    reader = mixed_run().reader()
    whole = find(replay(reader))
    assert len({finding.rule for finding in whole}) == 4
    assert find(replay(reader, chunk_bytes=chunk_bytes)) == whole


def test_progress_tells_iterations_done_and_their_total() -> None:
    seen: list[tuple[int, int]] = []
    replay(FakeRun(10).reader(), lambda done, total: seen.append((done, total)), chunk_bytes=1)
    assert seen == [(done, 10) for done in range(1, 11)]


def test_a_chunk_holds_as_many_rows_as_fit_and_at_least_one() -> None:
    assert rows_per_chunk(60, 0) == 1
    assert rows_per_chunk(0, 0) == 1
    assert rows_per_chunk(60, 2**20) == 2**20 // (60 * 12 * 8)


def test_memory_does_not_grow_with_the_trace() -> None:
    def peak(n_iterations: int) -> int:
        reader = EndlessReader(HEADER, n_iterations)
        tracemalloc.start()
        replay(reader, chunk_bytes=2**18)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    # Garbage that awaits collection makes the peak vary; the trace is fifteen times as long.
    assert peak(60_000) < 2 * peak(4_000)


def test_an_empty_trace_is_replayed_to_no_evidence() -> None:
    replayed = replay(FakeRun(0).reader())
    assert replayed.evidence.n_iterations == 0
    assert find(replayed) == ()


def test_statistics_of_some_iterations_only_are_judged_as_far_as_they_go() -> None:
    run = FakeRun(60).zero(slice(None), Kind.OUTPUT, "fc1")
    run.recorded = np.arange(0, 60, 2)
    run.statistics = {name: values[::2] for name, values in run.statistics.items()}
    (finding,) = find(replay(run.reader()))
    assert (finding.onset, finding.last, finding.n_judged) == (0, 58, 30)
