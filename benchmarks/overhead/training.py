"""What is measured, in processes of their own: epochs, the first step, what a budget catches."""

import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np

from deeplocalize.traces import open_trace

from .arms import ARMS, Arm, OriginalCallback, plain
from .workloads import WORKLOADS, Workload, trained

BROKEN_BATCH = 3

Numbers = dict[str, Any]
ClockT = TypeVar("ClockT", bound=keras.callbacks.Callback)


class Clock(keras.callbacks.Callback):
    """Seconds per step of each epoch, told through ``turns``, which is asked before each.

    Steps are timed from the end of the first to the end of the last: what Keras does between two
    epochs takes as long as dozens of small steps.
    """

    async_safe = True

    def __init__(self, turns: Connection) -> None:
        super().__init__()
        self._turns = turns
        self._ends: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._turns.recv()
        self._ends = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._ends.append(time.perf_counter())

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._turns.send((self._ends[-1] - self._ends[0]) / (len(self._ends) - 1))


class FirstStep(keras.callbacks.Callback):
    """Seconds from its creation to the end of the first step."""

    seconds: float | None = None

    def __init__(self) -> None:
        super().__init__()
        self._created = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.seconds is None:
            self.seconds = time.perf_counter() - self._created


def train_in_turns(
    turns: Connection, workload_name: str, arm_name: str, n_epochs: int, max_batches: int | None
) -> None:
    """Train an epoch whenever ``turns`` says so, and at last tell the size of what is recorded."""
    workload = WORKLOADS[workload_name]
    if max_batches is not None:
        workload = replace(workload, n_batches=min(workload.n_batches, max_batches))
    with tempfile.TemporaryDirectory() as folder:
        _fit(workload, _arm(arm_name), Path(folder), lambda: Clock(turns), n_epochs)
        found: Numbers = {}
        for trace in Path(folder).glob("run.*"):
            found |= _trace_numbers(trace)
    if arm_name == "budget 0.10":
        found["caught_in"] = _caught_in(workload)
    turns.send(found)


def measure_start(told: Connection, workload_name: str, arm_name: str) -> None:
    """Tell seconds to the end of the first step, and this process's peak memory after an epoch."""
    with tempfile.TemporaryDirectory() as folder:
        clock = _fit(WORKLOADS[workload_name], _arm(arm_name), Path(folder), FirstStep, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told.send({"first_step_s": clock.seconds, "peak_mib": peak / 1024})


MEASUREMENTS: dict[str, Callable[..., None]] = {"turns": train_in_turns, "start": measure_start}


def _arm(name: str) -> Arm:
    return plain if name == "plain" else ARMS[name]


def _fit(
    workload: Workload, arm: Arm, folder: Path, clock: Callable[[], ClockT], n_epochs: int
) -> ClockT:
    """Train, from the clock's creation to the end."""
    model, x, y = trained(workload)
    with arm(folder) as callbacks:
        for callback in callbacks:
            if isinstance(callback, OriginalCallback):
                callback.x, callback.y = x[: workload.batch_size], y[: workload.batch_size]
        started = clock()
        model.fit(
            x,
            y,
            batch_size=workload.batch_size,
            epochs=n_epochs,
            verbose=0,
            callbacks=[*callbacks, started],
        )
    return started


def _trace_numbers(trace: Path) -> Numbers:
    parts = trace.rglob("*") if trace.is_dir() else [trace]
    n_bytes = sum(part.stat().st_size for part in parts if part.is_file())
    with open_trace(trace) as opened:
        n, n_series = opened.n_iterations, len(opened.header.series)
    return {"bytes_per_step": n_bytes / n, "n_series": n_series} if n else {}


def _caught_in(workload: Workload) -> bool:
    """Whether NaN in the input is recorded, under a budget, in the step that is trained on it."""
    model, x, y = trained(workload)
    broken = BROKEN_BATCH * workload.batch_size
    x[broken] = np.nan
    with tempfile.TemporaryDirectory() as folder, ARMS["budget 0.10"](Path(folder)) as callbacks:
        model.fit(
            x, y, batch_size=workload.batch_size, shuffle=False, verbose=0, callbacks=callbacks
        )
        with open_trace(Path(folder) / "run.h5") as trace:
            flags = trace.reader.iterations()["n_nonfinite_series"]
            counts = trace.statistics(kind="input")[["iteration", "n_nan"]]
    seen = counts["iteration"][counts["n_nan"] > 0].min()
    return bool(np.argmax(flags > 0) == BROKEN_BATCH == seen)
