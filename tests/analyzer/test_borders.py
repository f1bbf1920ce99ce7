"""The analyzer's borders: what it may import, and where."""

import subprocess
import sys
from pathlib import Path

import pytest

from ..imports import imported_by

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "analyzer").rglob("*.py"))

BLOCKED = """
import sys
for name in ("tensorflow", "keras", "torch", "jax", "numba"):
    sys.modules[name] = None
sys.path.insert(0, {root!r})
import conftest
import deeplocalize.analyzer.cli
assert not any(name.startswith("deeplocalize.recorder") for name in sys.modules)
"""


def test_the_analyzer_runs_without_a_framework_and_without_the_recorder() -> None:
    code = BLOCKED.format(root=str(ROOT))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()


def test_one_module_alone_uses_keras_and_is_imported_only_when_fixes_are_tried() -> None:
    using = {path.name for path in MODULES if "keras" in imported_by(path)}
    assert using == {"keras_training.py"}
    importing = [path for path in MODULES if "keras_training import" in path.read_text("utf-8")]
    assert [path.name for path in importing] == ["protocol.py"]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_room_allows(path: Path) -> None:
    names = imported_by(path)
    tops = {name.split(".")[0] for name in names}
    allowed = {"keras"} if path.name == "keras_training.py" else set()
    heavy = {"keras", "tensorflow", "torch", "jax", "h5py", "pyarrow", "numba"}
    assert tops & heavy <= allowed
    assert not any(name.startswith("deeplocalize.recorder") for name in names)
    if path.name not in ("terminal.py", "progress.py"):
        assert "rich" not in tops
