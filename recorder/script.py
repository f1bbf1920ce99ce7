"""``deeplocalize-record``: record an unmodified training script.

Attaches a `Recorder` to every ``fit`` of a Keras model that the script calls, and to every model
from its first ``train_on_batch`` on; otherwise the script runs as it would under ``python``.
"""

import argparse
import atexit
import contextlib
import functools
import inspect
import sys
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from deeplocalize.traces.errors import TraceError
from deeplocalize.traces.files import create_writer

from .budget import Budget
from .import_hook import call_after_import
from .main_module import run_as_main, show_as_scripts_own
from .schedule import every
from .succession import numbered

_RECORDER = "_deeplocalize_recorder"

_recorded: list[Path] = []


def main(argv: Sequence[str] | None = None, begin: Callable[[], object] = lambda: None) -> int:
    """Run the command; its exit status is the script's, or 2 for a wrong call.

    ``begin`` is called just before the script begins.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if not arguments.target:
        parser.error("which script?")
    target, *rest = arguments.target
    if not arguments.module and not Path(target).exists():
        print(f"deeplocalize-record: {target}: no such script", file=sys.stderr)
        return 2
    try:
        create_writer(arguments.output, arguments.overwrite).close()
    except TraceError as error:
        print(f"deeplocalize-record: {error}", file=sys.stderr)
        return 2
    traces = Traces(arguments.output, **_options(arguments))
    loops = Loops(traces)
    call_after_import("keras", functools.partial(_attach, traces, loops))
    sys.argv = [target, *rest]
    atexit.register(_say_if_nothing_was_recorded)
    begin()
    try:
        run_as_main(target, arguments.module)
    except SystemExit:  # as good an end of a script as any
        loops.end()
        raise
    except BaseException as error:
        loops.end(error)
        show_as_scripts_own(error, (__name__, run_as_main.__module__, f"{__package__}.backends"))
        raise
    loops.end()
    return 0


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
        type=_of("a number of iterations, 1 or more", lambda text: every(int(text))),
        dest="schedule",
        metavar="N",
        help="statistics of every Nth iteration; the others are watched for NaN and Inf",
    )
    add(
        "--budget",
        type=_of("a share of the time, above 0 and up to 1", _share),
        metavar="SHARE",
        help="of the time, at most, as 0.1",
    )
    add(
        "--max-bytes",
        type=_of("a whole number of bytes, 1 or more", lambda text: _at_least(1, _bytes(text))),
        metavar="N",
        help="size at which the recording stops",
    )
    add(
        "--ring-iterations",
        type=_of("a number of iterations, 0 or more", lambda text: _at_least(0, int(text))),
        metavar="N",
        help="how many last iterations' tensors are held (default: up to 8, by size; under a "
        "budget 1)",
    )
    add(
        "--ring-bytes",
        type=_of("a whole number of bytes, 0 or more", lambda text: _at_least(0, _bytes(text))),
        metavar="N",
        help="memory for them, at most",
    )
    add("--exact", action="store_true", help="replay what else would change the run")
    add("--replayable", action="store_true", help="keep what deeplocalize-analyze --verify needs")


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    no_options = ("output", "module", "target")
    return {name: value for name, value in vars(arguments).items() if name not in no_options}


def _of(wanted: str, read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Reads an argument; where it is none, argparse names the option and what was wanted."""

    def convert(text: str) -> Any:
        try:
            return read(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"wanted {wanted}; found {text!r}") from None

    return convert


def _bytes(text: str) -> int:
    """As 2000000000 or 2e9."""
    if not float(text).is_integer():
        raise ValueError(text)
    return int(float(text))


def _share(text: str) -> float:
    share = float(text)
    Budget(share)  # raises where it is none
    return share


def _at_least(least: int, number: int) -> int:
    if number < least:
        raise ValueError
    return number


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
        path = numbered(self._output, self._n_trainings)
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


class Loops:
    """Records every model from its first ``train_on_batch`` on, for as long as it is there.

    Nothing here keeps a model, nor what its recorder holds: the one refers to the other.
    """

    def __init__(self, traces: Traces) -> None:
        self._traces = traces
        self._recorders: weakref.WeakSet[Any] = weakref.WeakSet()

    def step(self, model: Any) -> contextlib.AbstractContextManager[None]:
        """To last for one step of a model."""
        if _RECORDER not in vars(model):
            recorder = self._traces.recorder()
            vars(model)[_RECORDER] = recorder  # past Keras's attribute tracking
            if recorder is not None:
                self._recorders.add(recorder)
        recorder = vars(model)[_RECORDER]
        if recorder is None:
            return contextlib.nullcontext()
        steps: contextlib.AbstractContextManager[None] = recorder.recording_steps(model)
        return steps

    def end(self, error: BaseException | None = None) -> None:
        """End all traces; with an exception, if the script was left by one."""
        for recorder in tuple(self._recorders):
            if error is None:
                recorder.on_train_end()
            else:
                recorder.on_train_exception(error)


def _attach(traces: Traces, loops: Loops, keras: ModuleType) -> None:
    """Make every Keras model record its trainings; those by batches end with the script."""
    _record_every_fit(traces, keras)
    _record_every_loop(loops, keras)


def _record_every_fit(traces: Traces, keras: ModuleType) -> None:
    original = keras.Model.fit
    signature = inspect.signature(original)

    @functools.wraps(original)
    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            bound = signature.bind(self, *args, **kwargs)
        except TypeError:  # which says it best itself
            return original(self, *args, **kwargs)
        recorder = traces.recorder()
        callbacks = bound.arguments.get("callbacks")
        if recorder is not None:
            if isinstance(callbacks, keras.callbacks.CallbackList):
                callbacks.append(recorder)
            else:
                bound.arguments["callbacks"] = [callbacks or [], recorder]
        return original(*bound.args, **bound.kwargs)

    keras.Model.fit = fit


def _record_every_loop(loops: Loops, keras: ModuleType) -> None:
    original = keras.Model.train_on_batch

    @functools.wraps(original)
    def train_on_batch(self: Any, *args: Any, **kwargs: Any) -> Any:
        with loops.step(self):
            return original(self, *args, **kwargs)

    keras.Model.train_on_batch = train_on_batch
