"""What is left of a trace when its training is killed (``kill -9``) at random moments.

Starts a process that records without end, kills it some time after its first report, opens
the trace and reads all of it; once per trial, for both formats. A process reports on its standard
output, one number a line: iterations flushed so far (``writer``), or trained (``keras``, where
what the recorder still held back at the kill is lost).

    python benchmarks/crash_safety.py [--trials 30] [--format h5|parquet] [--child writer|keras]
    python benchmarks/crash_safety.py --command "python train.py {path}"
"""

import argparse
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deeplocalize.traces import (
    ITERATIONS,
    STATISTICS,
    Block,
    Header,
    Kind,
    Series,
    Table,
    TraceError,
    create_writer,
    open_trace,
)

N_ROWS, N_SERIES = 16, 40


@dataclass(frozen=True)
class Outcome:
    """One trial: what the process had reported, and what could be read."""

    n_reported: int
    n_read: int
    error: str = ""
    has_ended: bool = False

    @property
    def n_missing(self) -> int:
        """Iterations that were reported and cannot be read."""
        return max(self.n_reported - self.n_read, 0)


def write_without_end(path: str) -> None:
    """Record blocks of noise, reporting after each flush."""
    random = np.random.default_rng(0)
    writer = create_writer(path)
    writer.write_header(Header(series=tuple(Series(Kind.OUTPUT, i) for i in range(N_SERIES))))
    first = 0
    while True:
        numbers = np.arange(first, first + N_ROWS)
        iterations = {c.name: np.zeros(N_ROWS, c.numpy_dtype) for c in ITERATIONS}
        iterations["iteration"] = numbers
        noise = random.integers(0, 1000, size=(N_ROWS, N_SERIES))
        statistics = {c.name: noise.astype(c.numpy_dtype) for c in STATISTICS}
        writer.append(Block(Table(ITERATIONS, iterations), numbers, Table(STATISTICS, statistics)))
        writer.flush()
        first += N_ROWS
        print(first, flush=True)


def train_without_end(path: str) -> None:
    """Train a small Keras model with a recorder, reporting after each batch."""
    import keras

    from deeplocalize.recorder import Recorder

    class Report(keras.callbacks.Callback):
        n_batches = 0

        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            self.n_batches += 1
            print(self.n_batches, flush=True)

    random = np.random.default_rng(0)
    x, y = random.normal(size=(640, 20)), random.integers(0, 5, size=640)
    model = keras.Sequential(
        [keras.layers.Dense(32, activation="relu"), keras.layers.Dense(5, activation="softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=10**6, verbose=0, callbacks=[Recorder(path), Report()])


CHILDREN: dict[str, Callable[[str], None]] = {
    "writer": write_without_end,
    "keras": train_without_end,
}


def run_trial(command: list[str], path: Path, wait_s: float) -> Outcome:
    """Start the process, kill it ``wait_s`` after its first report, and read what is left."""
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        reports = [process.stdout.readline()]
        time.sleep(wait_s)
        process.kill()
        reports += process.stdout.readlines()
        if process.wait() != -signal.SIGKILL:
            # It came to its end before the kill: that says nothing about kills.
            errors.seek(0)
            sys.exit(f"{shlex.join(command)} ended by itself:\n{errors.read()}")
    n_reported = int([report for report in reports if report.endswith("\n")][-1])
    try:
        with open_trace(path) as trace:
            n_read = len(trace.iterations)
            trace.statistics()
            return Outcome(n_reported, n_read, has_ended=trace.ended is not None)
    except TraceError as error:
        return Outcome(n_reported, 0, error=str(error))


def print_table(name: str, outcomes: list[Outcome]) -> None:
    n_opened = sum(not outcome.error for outcome in outcomes)
    n_missing = [outcome.n_missing for outcome in outcomes]
    n_read = [outcome.n_read for outcome in outcomes]
    print(
        f"{name:<8} {len(outcomes):>6} {n_opened:>6} {min(n_read):>8}-{max(n_read):<8}"
        f"{sum(n > 0 for n in n_missing):>14} {max(n_missing):>12}"
        f" {sum(outcome.has_ended for outcome in outcomes):>9}"
    )
    for outcome in outcomes:
        if outcome.error:
            print(f"  {outcome.error}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--format", choices=("h5", "parquet"), action="append")
    parser.add_argument("--child", choices=CHILDREN, default="writer")
    parser.add_argument("--command", help="a process to kill instead, with {path} in it")
    parser.add_argument("--longest-wait-s", type=float, default=0.5, help="before the kill")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", metavar="PATH", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        CHILDREN[options.child](options.write)
        return
    this = f"{shlex.quote(sys.executable)} {shlex.quote(__file__)} --child {options.child}"
    command = options.command or f"{this} --write {{path}}"
    random = np.random.default_rng(options.seed)
    print("format   trials opened   iterations read  trials losing  most missing  'ended'")
    for suffix in options.format or ("h5", "parquet"):
        outcomes = []
        for _ in range(options.trials):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"run.{suffix}"
                arguments = shlex.split(command.replace("{path}", shlex.quote(str(path))))
                outcomes.append(
                    run_trial(arguments, path, random.uniform(0, options.longest_wait_s))
                )
        print_table(suffix, outcomes)


if __name__ == "__main__":
    main()
