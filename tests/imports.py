"""What a module imports, read from its text."""

import ast
from pathlib import Path


def imported_by(path: Path) -> set[str]:
    """Modules that a file imports, absolutely, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module or "")
    return names
