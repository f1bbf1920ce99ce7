"""What the trace format needs and what it never touches."""

import subprocess
import sys
from pathlib import Path

import pytest

from ..imports import imported_by
from .build import write_trace

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "traces").glob("*.py"))
ALLOWED = {"h5py": "hdf5", "pyarrow": "parquet", "pandas": "trace"}

READ_A_TRACE = """
import sys
for name in ("tensorflow", "keras", "torch", "jax", "numba", "sklearn"):
    sys.modules[name] = None
import conftest
from deeplocalize.traces import convert, open_trace
convert(sys.argv[1], sys.argv[2])
with open_trace(sys.argv[2]) as trace:
    assert len(trace.iterations) == trace.n_iterations == 12
for name in ("deeplocalize.recorder", "deeplocalize.analyzer"):
    assert name not in sys.modules, name
"""


# Such a thread may let go of the last reference to our bytes while Python shuts down: an abort.
READ_WITHOUT_THREADS = """
import os, sys
import conftest
from deeplocalize.traces import open_trace
import pyarrow.parquet
before = set(os.listdir("/proc/self/task"))
with open_trace(sys.argv[1]) as trace:
    assert len(trace.iterations) == 12
assert set(os.listdir("/proc/self/task")) == before
"""


def test_traces_are_read_and_written_where_no_framework_is_installed(tmp_path: Path) -> None:
    write_trace(tmp_path / "a.h5")
    _run(READ_A_TRACE, tmp_path / "a.h5", tmp_path / "a.parquet")


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_reading_leaves_no_thread_behind(path: Path) -> None:
    write_trace(path)
    _run(READ_WITHOUT_THREADS, path)


def _run(code: str, *arguments: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_heavy_library_stays_in_the_modules_that_need_it(path: Path) -> None:
    for name in imported_by(path):
        top = name.split(".")[0]
        assert top in {*sys.stdlib_module_names, "numpy", *ALLOWED}, name
        if top in ALLOWED:
            assert path.stem.startswith(ALLOWED[top])
