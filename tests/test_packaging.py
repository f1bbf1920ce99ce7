"""What is installed is what the folders hold."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_folder_with_modules_is_installed_as_a_package() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {
        init.parent.relative_to(ROOT)
        for top in ("traces", "recorder", "analyzer")
        for init in (ROOT / top).rglob("__init__.py")
    }
    expected = {f"deeplocalize.{'.'.join(folder.parts)}": str(folder) for folder in folders}
    assert set(setuptools["packages"]) == expected.keys()
    assert setuptools["package-dir"] == expected


def test_every_module_lives_in_a_package() -> None:
    for top in ("traces", "recorder", "analyzer"):
        for module in (ROOT / top).rglob("*.py"):
            assert (module.parent / "__init__.py").exists(), module
