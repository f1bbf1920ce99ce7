"""``deeplocalize-record``: record an unmodified training script.

Attaches a `Recorder` to every ``fit`` of a Keras model that the script calls; otherwise the
script runs as it would under ``python``.
"""

import argparse
import atexit
import functools
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from deeplocalize.traces.errors import TraceError
from deeplocalize.traces.files import create_writer

_recorded: list[Path] = []


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; its exit status is the script's, or 2 for a wrong call."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if not arguments.target:
        parser.error("which script?")
    target, *rest = arguments.target
    try:
        create_writer(arguments.output, arguments.overwrite).close()
    except TraceError as error:
        print(f"deeplocalize-record: {error}", file=sys.stderr)
        return 2
    if not arguments.module and not Path(target).is_file():
        print(f"deeplocalize-record: {target}: no such script", file=sys.stderr)
        return 2
    attach = functools.partial(_record_every_fit, arguments.output, arguments.overwrite)
    sys.meta_path.insert(0, _AfterImport("keras", attach))
    sys.argv = [target, *rest]
    atexit.register(_say_if_nothing_was_recorded)
    if arguments.module:
        sys.path.insert(0, "")
        runpy.run_module(target, run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, str(Path(target).resolve().parent))
        runpy.run_path(target, run_name="__main__")
    return 0


def _say_if_nothing_was_recorded() -> None:
    if not _recorded:
        print("deeplocalize-record: no fit of a Keras model was recorded", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="deeplocalize-record",
        description="Run a training script and record every fit of a Keras model in it.",
        epilog="A second fit is recorded as TRACE-2.h5, and so on.",
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("trace.h5"), metavar="TRACE")
    parser.add_argument("--overwrite", action="store_true", help="replace existing traces")
    parser.add_argument("-m", "--module", action="store_true", help="TARGET is a module's name")
    parser.add_argument(
        "target", nargs=argparse.REMAINDER, metavar="TARGET [ARG ...]", help="script and arguments"
    )
    return parser


def _record_every_fit(output: Path, overwrite: bool, keras: ModuleType) -> None:
    """Make ``fit`` of every Keras model record itself."""
    original = keras.Model.fit
    signature = inspect.signature(original)
    n_fits = 0

    @functools.wraps(original)
    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal n_fits
        n_fits += 1
        bound = signature.bind(self, *args, **kwargs)
        recorder = _recorder(output, n_fits, overwrite)
        callbacks = bound.arguments.get("callbacks")
        if recorder is not None:
            if isinstance(callbacks, keras.callbacks.CallbackList):
                callbacks.append(recorder)
            else:
                bound.arguments["callbacks"] = [callbacks or [], recorder]
        return original(*bound.args, **bound.kwargs)

    keras.Model.fit = fit


def _recorder(output: Path, n_fits: int, overwrite: bool) -> Any:
    from . import Recorder

    path = output if n_fits == 1 else output.with_name(f"{output.stem}-{n_fits}{output.suffix}")
    try:
        recorder = Recorder(path, overwrite=overwrite)
    except TraceError as error:
        print(f"deeplocalize-record: fit {n_fits} is not recorded: {error}", file=sys.stderr)
        return None
    print(f"deeplocalize-record: recording {path}", file=sys.stderr)
    _recorded.append(path)
    return recorder


class _AfterImport(importlib.abc.MetaPathFinder):
    """Calls back with a module right after the script imported it.

    Importing Keras ahead of the script would ignore what the script sets before it does so
    itself, such as ``KERAS_BACKEND``.
    """

    def __init__(self, name: str, callback: Callable[[ModuleType], None]) -> None:
        self._name = name
        self._callback = callback

    def find_spec(
        self, fullname: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module's own spec, with a loader that calls back when done."""
        if fullname != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                load(module)
                self._callback(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
