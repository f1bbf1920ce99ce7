"""``deeplocalize-record``: record an unmodified training script.

Attaches a `Recorder` to every ``fit`` of a Keras model that the script calls, and to every model
from its first ``train_on_batch`` on; otherwise the script runs as it would under ``python``.
"""

import argparse
import atexit
import contextlib
import functools
import inspect
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from deeplocalize.traces.errors import TraceError
from deeplocalize.traces.files import create_writer

from .budget import Budget
from .import_hook import call_after_import
from .schedule import Schedule, every

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
    loops = contextlib.ExitStack()
    traces = Traces(arguments.output, **_options(arguments))
    attach = functools.partial(_attach, traces, loops)
    call_after_import("keras", attach)
    sys.argv = [target, *rest]
    atexit.register(_say_if_nothing_was_recorded)
    with loops:
        try:
            _run(target, arguments.module)
        except SystemExit:  # as good an end of a script as any
            loops.close()
            raise
    return 0


def _run(target: str, is_module: bool) -> None:
    if is_module:
        sys.path.insert(0, "")
        runpy.run_module(target, run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, str(Path(target).resolve().parent))
        runpy.run_path(target, run_name="__main__")


def _say_if_nothing_was_recorded() -> None:
    if not _recorded:
        print("deeplocalize-record: no training of a Keras model was recorded", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="deeplocalize-record",
        description="Run a training script and record every fit of a Keras model in it, and every "
        "model that it trains by train_on_batch.",
        epilog="A second training is recorded as TRACE-2.h5, and so on.",
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("trace.h5"), metavar="TRACE")
    parser.add_argument("--overwrite", action="store_true", help="replace existing traces")
    parser.add_argument("-m", "--module", action="store_true", help="TARGET is a module's name")
    _add_options(parser)
    parser.add_argument(
        "target", nargs=argparse.REMAINDER, metavar="TARGET [ARG ...]", help="script and arguments"
    )
    return parser


def _add_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `Recorder` that a command line can give, under its own names."""
    group = parser.add_argument_group("what is recorded")
    add = functools.partial(group.add_argument, default=argparse.SUPPRESS)
    add(
        "--every",
        type=number_of_iterations,
        dest="schedule",
        metavar="N",
        help="statistics of every Nth iteration; the others are watched for NaN and Inf",
    )
    add("--budget", type=share_of_time, metavar="SHARE", help="of the time, at most, as 0.1")
    add("--max-bytes", type=int, metavar="N", help="size at which the recording stops")
    add("--ring-bytes", type=int, metavar="N", help="memory for the last iterations' tensors")
    add("--exact", action="store_true", help="replay what else would change the run")
    add("--replayable", action="store_true", help="keep what deeplocalize-analyze --verify needs")


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    no_options = ("output", "module", "target")
    return {name: value for name, value in vars(arguments).items() if name not in no_options}


def number_of_iterations(text: str) -> Schedule:
    """The schedule of ``--every``; argparse names the function where the text is none."""
    return every(int(text))


def share_of_time(text: str) -> float:
    """The number of ``--budget``."""
    share = float(text)
    Budget(share)  # raises where it is none
    return share


class Traces:
    """Names the traces of one training after another, and makes their recorders.

    Parameters
    ----------
    options
        Arguments of `Recorder`.
    """

    def __init__(self, output: Path, **options: Any) -> None:
        self._output = output
        self._options = options
        self._n_trainings = 0

    def recorder(self) -> Any:
        """A recorder of the next training; None, with a message, where there can be none."""
        from . import Recorder

        self._n_trainings += 1
        path = self._output
        if self._n_trainings > 1:
            path = path.with_name(f"{path.stem}-{self._n_trainings}{path.suffix}")
        try:
            recorder = Recorder(path, **self._options)
        except TraceError as error:
            print(
                f"deeplocalize-record: training {self._n_trainings} is not recorded: {error}",
                file=sys.stderr,
            )
            return None
        print(f"deeplocalize-record: recording {path}", file=sys.stderr)
        _recorded.append(path)
        return recorder


def _attach(traces: Traces, loops: contextlib.ExitStack, keras: ModuleType) -> None:
    """Make every Keras model record its trainings; those by batches end with the script."""
    _record_every_fit(traces, keras)
    _record_every_loop(traces, loops, keras)


def _record_every_fit(traces: Traces, keras: ModuleType) -> None:
    original = keras.Model.fit
    signature = inspect.signature(original)

    @functools.wraps(original)
    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(self, *args, **kwargs)
        recorder = traces.recorder()
        callbacks = bound.arguments.get("callbacks")
        if recorder is not None:
            if isinstance(callbacks, keras.callbacks.CallbackList):
                callbacks.append(recorder)
            else:
                bound.arguments["callbacks"] = [callbacks or [], recorder]
        return original(*bound.args, **bound.kwargs)

    keras.Model.fit = fit


def _record_every_loop(traces: Traces, loops: contextlib.ExitStack, keras: ModuleType) -> None:
    original = keras.Model.train_on_batch
    known: list[Any] = []

    @functools.wraps(original)
    def train_on_batch(self: Any, *args: Any, **kwargs: Any) -> Any:
        if all(model is not self for model in known):
            known.append(self)
            recorder = traces.recorder()
            if recorder is not None:
                loops.enter_context(recorder.recording(self))
        return original(self, *args, **kwargs)

    keras.Model.train_on_batch = train_on_batch
