"""Run a script or a module as ``python`` does: as ``__main__``, with errors of its own."""

import builtins
import os
import pkgutil
import runpy
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any


def run_as_main(target: str, is_module: bool = False) -> None:
    """Run a file, a folder or archive with a ``__main__.py``, or a module by its name.

    ``sys.argv`` must be that of the target. What it raises is raised.
    """
    main = ModuleType("__main__")
    vars(main)["__builtins__"] = builtins
    sys.modules["__main__"] = main
    path = os.path.abspath(target)  # noqa: PTH100  # symbolic links stay what they are
    if is_module:
        _put_first(str(Path.cwd()))
        _run_module(target, True)
    elif pkgutil.get_importer(target) is not None:
        _put_first(path)
        _run_module("__main__", False)
    else:
        _put_first(str(Path(path).resolve().parent))
        vars(main).update(
            __file__=path, __cached__=None, __loader__=SourceFileLoader("__main__", path)
        )
        exec(compile(Path(path).read_bytes(), path, "exec", dont_inherit=True), vars(main))


def show_as_scripts_own(error: BaseException, modules: tuple[str, ...]) -> None:
    """Have an exception that ends the process shown without the frames of some packages."""
    traceback = _without(error.__traceback__, modules)
    show = sys.excepthook

    def show_without(kind: Any, value: BaseException, _: Any) -> None:
        value.__traceback__ = traceback
        show(kind, value, traceback)

    sys.excepthook = show_without


def _put_first(folder: str) -> None:
    """In the place of the folder from which Python was told to run our own command."""
    if not sys.flags.safe_path:
        sys.path[0] = folder


def _run_module(name: str, alter_argv: bool) -> None:
    # What `python -m` itself calls. The public `run_module` gives the module another, passing one
    # for a `__main__`, which pickles and what runs at the exit would look for in vain.
    runpy._run_module_as_main(name, alter_argv)  # type: ignore[attr-defined]


def _without(traceback: TracebackType | None, modules: tuple[str, ...]) -> TracebackType | None:
    kept: list[TracebackType] = []
    while traceback is not None:
        if not str(traceback.tb_frame.f_globals.get("__name__")).startswith(modules):
            kept.append(traceback)
        traceback = traceback.tb_next
    for one, following in zip(kept, [*kept[1:], None], strict=False):
        one.tb_next = following
    return kept[0] if kept else None
