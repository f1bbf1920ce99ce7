"""Under which name a trace may be written is settled when the recorder is made."""

from pathlib import Path

import pytest

from deeplocalize.recorder import Recorder
from deeplocalize.traces import TraceExistsError, TraceFormatError, TraceWriteError, open_trace

from .fits import build, fit


def test_an_existing_trace_is_refused_unless_overwriting(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    fit(build(), Recorder(path))
    with pytest.raises(TraceExistsError, match="overwrite=True"):
        Recorder(path)
    fit(build(), Recorder(path, overwrite=True), epochs=2)
    with open_trace(path) as trace:
        assert trace.n_iterations == 20


def test_a_path_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(TraceWriteError, match="missing"):
        Recorder(tmp_path / "missing" / "run.h5")
    with pytest.raises(TraceFormatError, match=r"\.h5"):
        Recorder(tmp_path / "run.txt")


def test_recorders_that_are_never_used_leave_nothing_behind(tmp_path: Path) -> None:
    for name in ("run.h5", "run.parquet"):
        for _ in range(2):
            Recorder(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
