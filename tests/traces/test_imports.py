"""What the trace format needs and what it never touches."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_traces_are_read_and_written_where_no_framework_is_installed(tmp_path: Path) -> None:
    from .build import write_trace

    write_trace(tmp_path / "a.h5")
    arguments = [str(tmp_path / "a.h5"), str(tmp_path / "a.parquet")]
    done = subprocess.run(
        [sys.executable, "-c", READ_A_TRACE, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_heavy_library_stays_in_the_modules_that_need_it(path: Path) -> None:
    for name in _imported_by(path):
        top = name.split(".")[0]
        assert top in {*sys.stdlib_module_names, "numpy", *ALLOWED}, name
        if top in ALLOWED:
            assert path.stem.startswith(ALLOWED[top])


def _imported_by(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module or "")
    return names
