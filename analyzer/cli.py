"""The command ``deeplocalize-analyze``: the only place where the analyzer prints and exits."""

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from deeplocalize.traces.errors import TraceError
from deeplocalize.traces.trace import Trace, open_trace

from .analysis import analyze
from .diagnosis import Diagnosis
from .follow import is_final, looks_at, open_once_there
from .progress import progress_bar, status_line
from .reports import REPORTS, Style
from .verdict import Verdict
from .whatif import DEFAULT_SECONDS, verify

# How often a run that is going on is looked at.
POLL_S = 1.0

NO_FAULT, FAULT, NOT_ANALYSED = 0, 1, 2

SUFFIXES = {
    ".html": "html",
    ".htm": "html",
    ".json": "json",
    ".md": "markdown",
    ".txt": "text",
    ".log": "text",
    "": "text",
}

HTML_SUFFIXES = (".html", ".htm", "")

_EXIT_CODES = """\
exit codes:
  0    no fault found: the run looks healthy, or it is too short for a verdict
       (the report says so, and what it would take)
  1    a fault was located
  2    nothing could be analysed: no trace, a damaged one, or one without iterations
  130  interrupted before there was anything to tell
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.verify_seconds and not options.verify:
        parser.error("--verify-seconds is for --verify, which is not given")
    form = options.format or _form_of(options.output)
    refusal = _refusal(options)
    if form is None or refusal:
        return _fail(refusal)
    try:
        with _opened(options) as trace:
            diagnosis = _diagnosed(trace, options)
            if options.verify:
                diagnosis = _verified(trace, diagnosis, options)
            to_file = options.output not in (None, "-")
            colour = not to_file and sys.stdout.isatty() and "NO_COLOR" not in os.environ
            style = Style(colour, options.verbose)
            report = REPORTS[form](diagnosis, trace.reader, style)
            if options.report:
                write_whole(options.report, REPORTS["html"](diagnosis, trace.reader, style))
        if to_file:
            write_whole(Path(options.output), report)
        else:
            _print(report)
    except TraceError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename or 'standard output'}: {error.strerror or error}")
    if options.report:
        print(f"HTML report: {options.report}", file=sys.stderr)
    return exit_code(diagnosis)


def _form_of(output: str | None) -> str | None:
    """The format that a file's name asks for, text where it asks for none; None: there is no such.

    A text in a file called ``report.pdf`` would be found out by whoever cannot open it.
    """
    return SUFFIXES.get(Path(output or "").suffix.lower())


def _refusal(options: argparse.Namespace) -> str:
    """Why no report is written where it was asked for; empty if it can be."""
    output, report = options.output, options.report
    for target in (output, report):
        if target is not None and _is_same(Path(target), Path(options.trace)):
            return f"{target}: is the trace itself; name another file for the report"
    if not options.format and _form_of(output) is None:
        named = ", ".join(suffix for suffix in SUFFIXES if suffix)
        return (
            f"{output}: no report is written as {Path(output).suffix}; end the name in one of "
            f"{named}, or choose with --format"
        )
    if report and report.suffix.lower() not in HTML_SUFFIXES:
        return (
            f"{report}: --report writes HTML; end the name in .html, or take --output for another "
            "format"
        )
    return ""


def _is_same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _opened(options: argparse.Namespace) -> Trace:
    """The trace; when following, once it is there."""
    path: str = options.trace
    trace = open_once_there(path) if options.follow else open_trace(path)
    if trace is None:
        print(f"deeplocalize-analyze: waiting for {path}, which is not there yet", file=sys.stderr)
    while trace is None:
        time.sleep(POLL_S)
        trace = open_once_there(path)
    return trace


def _diagnosed(trace: Trace, options: argparse.Namespace) -> Diagnosis:
    if not options.follow:
        with progress_bar() as progress:
            return analyze(trace, progress)
    diagnosis: Diagnosis | None = None
    try:
        with status_line() as show:
            for diagnosis in looks_at(trace):
                show(f"following {trace.path}: {diagnosis.run.last or 'nothing yet'}, no fault")
                if not is_final(diagnosis):
                    time.sleep(POLL_S)
    except KeyboardInterrupt:
        if diagnosis is None:
            raise
    assert diagnosis is not None, "there is always a first look"
    return diagnosis


def _verified(trace: Trace, diagnosis: Diagnosis, options: argparse.Namespace) -> Diagnosis:
    # TensorFlow greets on standard error, in the middle of the progress bar.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    seconds = options.verify_seconds or DEFAULT_SECONDS
    with progress_bar("trying fixes") as progress:
        return verify(trace, diagnosis, seconds, progress=progress)


def exit_code(diagnosis: Diagnosis) -> int:
    """0 without a fault, 1 with one, 2 if there was nothing to analyse."""
    if diagnosis.verdict is Verdict.FAULTY:
        return FAULT
    return NO_FAULT if diagnosis.coverage.n_iterations else NOT_ANALYSED


def write_whole(path: Path, text: str) -> None:
    """Write a file under a temporary name and rename it, so that it is whole or not there.

    A path that exists and is no regular file (``/dev/stderr``, a named pipe) is written to.

    Raises
    ------
    OSError
        It cannot be written; names the path that was asked for.
    """
    try:
        _write_whole(path, text)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _write_whole(path: Path, text: str) -> None:
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        # A temporary file is private; a report has the mode of any new file.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _print(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Python would complain again while exiting.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str) -> int:
    line = " ".join(message.split())
    print(f"deeplocalize-analyze: {line}", file=sys.stderr)
    return NOT_ANALYSED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="deeplocalize-analyze",
        description="Say which layer and iteration of a recorded training went wrong first, why, "
        "and what to try.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("trace", metavar="TRACE", help="a trace: run.h5 or run.parquet/")
    parser.add_argument(
        "--format",
        choices=sorted(REPORTS),
        help="default: what the suffix of --output says (.html, .json, .md, .txt), else text",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write the report there; - is standard output"
    )
    parser.add_argument(
        "--report", metavar="FILE", type=Path, help="write the HTML report there as well"
    )
    parser.add_argument("--verbose", action="store_true", help="list every finding")
    parser.add_argument(
        "--follow",
        action="store_true",
        help="watch a run that is going on; ends with a fault, the end of the run or Ctrl-C",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="try the suspects' fixes on the recorded batches (needs Keras, and a trace of "
        "Recorder(..., replayable=True))",
    )
    parser.add_argument(
        "--verify-seconds",
        type=_seconds,
        metavar="N",
        help=f"longest time for that; default: {DEFAULT_SECONDS:g}",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    return parser


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"wanted a number of seconds above 0; found {text!r}")
    return seconds


def _version() -> str:
    try:
        return version("deeplocalize")
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
