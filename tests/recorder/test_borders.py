"""The recorder's borders: what it may import, and where."""

from pathlib import Path

import pytest

from ..imports import imported_by

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "recorder").rglob("*.py"))
HEAVY = {"keras", "tensorflow", "torch", "jax", "numba", "h5py", "pyarrow", "rich"}


def test_one_module_alone_uses_the_analyzer_too() -> None:
    using = {
        path.name
        for path in MODULES
        if any(name.startswith("deeplocalize.analyzer") for name in imported_by(path))
    }
    assert using == {"online.py"}


COMPILED = (
    "compiled.py",
    "row_kernels.py",
    "tensorflow_c_api.py",
    "tensorflow_calls.py",
    "tensorflow_measure.py",
    "tensorflow_operations.py",
)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_framework_is_imported_where_it_is_the_subject(path: Path) -> None:
    heavy = {name.split(".")[0] for name in imported_by(path)} & HEAVY
    is_about_keras = "keras" in path.stem
    allowed = {"keras"} if is_about_keras else set()
    if path.parent.name == "backends":
        allowed = {"keras", *(name for name in HEAVY if path.stem.startswith(name))}
    if path.name in COMPILED:
        allowed |= {"numba"}
    assert heavy <= allowed
