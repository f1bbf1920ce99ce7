from pathlib import Path

import pytest

from deeplocalize.analyzer import cli
from deeplocalize.analyzer.diagnosis import Verdict, diagnose
from deeplocalize.analyzer.follow import is_final, looks_at
from deeplocalize.traces.files import create_writer
from deeplocalize.traces.interface import TraceWriter
from deeplocalize.traces.schema import Kind
from deeplocalize.traces.table import Block
from deeplocalize.traces.trace import open_trace

from .runs import FakeRun


def append(writer: TraceWriter, run: FakeRun, start: int, stop: int) -> None:
    block = run.block()
    rows = block.iterations.rows(start, stop), block.recorded[start:stop]
    writer.append(Block(*rows, block.statistics.rows(start, stop)))
    writer.flush()


def broken_at(iteration: int) -> FakeRun:
    run = FakeRun(200)
    return run.put(iteration, Kind.OUTPUT, "mid", n_nan=3).breaks(iteration, Kind.OUTPUT, "mid")


@pytest.mark.parametrize("suffix", ["h5", "parquet"])
def test_a_fault_is_seen_as_soon_as_its_block_is_written(tmp_path: Path, suffix: str) -> None:
    run, path = broken_at(150), tmp_path / f"run.{suffix}"
    writer = create_writer(path)
    writer.write_header(run.header)
    append(writer, run, 0, 100)
    with open_trace(path) as trace:
        looks = looks_at(trace)
        assert not is_final(next(looks))
        append(writer, run, 100, 140)
        assert next(looks).verdict is Verdict.HEALTHY
        append(writer, run, 140, 200)
        last = next(looks)
        assert last.first_fault is not None
        assert last.first_fault.moment.iteration == 150
        assert next(looks, None) is None
    writer.close()


def test_looking_step_by_step_comes_to_what_one_look_does(tmp_path: Path) -> None:
    run, path = FakeRun(200), tmp_path / "run.h5"
    writer = create_writer(path)
    writer.write_header(run.header)
    append(writer, run, 0, 10)
    with open_trace(path) as trace:
        looks = looks_at(trace)
        next(looks)
        for start, stop in ((10, 70), (70, 71), (71, 200)):
            append(writer, run, start, stop)
            seen = next(looks)
        assert seen == diagnose(trace.reader, str(path))
        writer.append_events(run.events)
        writer.close()
        assert is_final(next(looks))


def test_the_command_follows_to_the_end_of_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, path = FakeRun(), tmp_path / "run.h5"
    run.write(create_writer(path))
    assert cli.main([str(path), "--follow"]) == 0
    assert capsys.readouterr().out.startswith("The run looks healthy")


def test_following_waits_for_a_run_that_has_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.h5"
    waited: list[float] = []

    def begin(seconds: float) -> None:
        waited.append(seconds)
        broken_at(50).write(create_writer(path))

    monkeypatch.setattr("deeplocalize.analyzer.cli.time.sleep", begin)
    assert cli.main([str(path), "--follow"]) == 1
    assert waited == [cli.POLL_S]
    said = capsys.readouterr()
    assert said.err == f"deeplocalize-analyze: waiting for {path}, which is not there yet\n"
    assert "first at iteration 50" in " ".join(said.out.split())


def test_an_interrupt_ends_the_watch_with_what_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, path = FakeRun(), tmp_path / "run.h5"
    run.events = []
    run.write(create_writer(path))

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("deeplocalize.analyzer.cli.time.sleep", interrupt)
    assert cli.main([str(path), "--follow"]) == 0
    assert "is still going on" in " ".join(capsys.readouterr().out.split())
