"""The recorder's borders: what it may import, and where."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "recorder").rglob("*.py"))
HEAVY = {"keras", "tensorflow", "torch", "jax", "numba", "h5py", "pyarrow", "rich"}


def imported_by(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module or "")
    return names


def test_one_module_alone_uses_the_analyzer_too() -> None:
    using = {
        path.name
        for path in MODULES
        if any(name.startswith("deeplocalize.analyzer") for name in imported_by(path))
    }
    assert using == {"online.py"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_framework_is_imported_where_it_is_the_subject(path: Path) -> None:
    heavy = {name.split(".")[0] for name in imported_by(path)} & HEAVY
    is_about_keras = "keras" in path.stem
    allowed = {"keras"} if is_about_keras else set()
    if path.parent.name == "backends":
        allowed = {"keras", *(name for name in HEAVY if path.stem.startswith(name))}
    if path.name in ("compiled.py", "row_kernels.py"):
        allowed = {"numba"}
    assert heavy <= allowed
