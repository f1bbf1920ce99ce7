"""Measures one arm of one workload; what the parent process starts, once for each."""

import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from deeplocalize.traces import open_trace

from .arms import ARMS, SLOW, Arm, OriginalCallback, plain
from .workloads import WORKLOADS, Workload, trained

WARM_EPOCHS, TIMED_EPOCHS = 1, 2
N_SLOW_BATCHES = 40
BROKEN_BATCH = 3

Numbers = dict[str, Any]


class Clock(keras.callbacks.Callback):
    """When each step of each epoch ended.

    Steps are timed from the end of the first to the end of the last: what Keras does between two
    epochs takes as long as dozens of small steps.
    """

    async_safe = True

    def __init__(self) -> None:
        super().__init__()
        self._ends: list[list[float]] = []
        self._created = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._ends.append([])

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._ends[-1].append(time.perf_counter())

    @property
    def first_step_s(self) -> float:
        return self._ends[0][0] - self._created

    def step_s(self, first_epoch: int) -> float:
        """Seconds per step, the median of the epochs from the one given on."""
        return statistics.median(
            (ends[-1] - ends[0]) / (len(ends) - 1) for ends in self._ends[first_epoch:]
        )


def measure_pairs(
    workload_name: str, arm_name: str, n_pairs: int, max_batches: int | None = None
) -> Numbers:
    """Seconds per step, plain and with the arm, alternating; bytes per step where it records.

    ``max_batches`` (default: all, or `N_SLOW_BATCHES` for slow arms) are trained per epoch.
    """
    workload = WORKLOADS[workload_name]
    if max_batches is None and arm_name in SLOW:
        max_batches = N_SLOW_BATCHES
    if max_batches is not None:
        workload = replace(workload, n_batches=min(workload.n_batches, max_batches))
    plain_s, arm_s = [], []
    found: Numbers = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(n_pairs):
            plain_s.append(_step_s(workload, plain, Path(folder)))
            arm_s.append(_step_s(workload, ARMS[arm_name], Path(folder)))
        for trace in Path(folder).glob("run.*"):
            found |= _trace_numbers(trace)
    if arm_name == "budget 0.10":
        found["caught_in"] = _caught_in(workload, ARMS[arm_name])
    return {"plain_s": plain_s, "arm_s": arm_s, **found}


def measure_start(workload_name: str, arm_name: str) -> Numbers:
    """Seconds to the end of the first step, and this process's peak memory after an epoch."""
    arm = plain if arm_name == "plain" else ARMS[arm_name]
    model, x, y = trained(WORKLOADS[workload_name])
    with tempfile.TemporaryDirectory() as folder:
        clock = _fit(model, x, y, WORKLOADS[workload_name], arm, Path(folder), 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"first_step_s": clock.first_step_s, "peak_mib": peak / 1024}


MEASUREMENTS: dict[str, Callable[..., Numbers]] = {"pairs": measure_pairs, "start": measure_start}


def _step_s(workload: Workload, arm: Arm, folder: Path) -> float:
    model, x, y = trained(workload)
    clock = _fit(model, x, y, workload, arm, folder, WARM_EPOCHS + TIMED_EPOCHS)
    return clock.step_s(WARM_EPOCHS)


def _fit(
    model: Any, x: Any, y: Any, workload: Workload, arm: Arm, folder: Path, n_epochs: int
) -> Clock:
    with arm(folder) as callbacks:
        for callback in callbacks:
            if isinstance(callback, OriginalCallback):
                callback.x, callback.y = x[: workload.batch_size], y[: workload.batch_size]
        clock = Clock()
        model.fit(
            x,
            y,
            batch_size=workload.batch_size,
            epochs=n_epochs,
            verbose=0,
            callbacks=[*callbacks, clock],
        )
    return clock


def _trace_numbers(trace: Path) -> Numbers:
    parts = trace.rglob("*") if trace.is_dir() else [trace]
    n_bytes = sum(part.stat().st_size for part in parts if part.is_file())
    with open_trace(trace) as opened:
        n, n_series = opened.n_iterations, len(opened.header.series)
    return {"bytes_per_step": n_bytes / n, "n_series": n_series} if n else {}


def _caught_in(workload: Workload, arm: Arm) -> bool:
    """Whether NaN in the input is recorded in the iteration in which it is trained on."""
    model, x, y = trained(workload)
    broken = BROKEN_BATCH * workload.batch_size
    x[broken] = np.nan
    with tempfile.TemporaryDirectory() as folder, arm(Path(folder)) as callbacks:
        model.fit(
            x, y, batch_size=workload.batch_size, shuffle=False, verbose=0, callbacks=callbacks
        )
        with open_trace(Path(folder) / "run.h5") as trace:
            flags = trace.reader.iterations()["n_nonfinite_series"]
            counts = trace.statistics(kind="input")[["iteration", "n_nan"]]
    seen = counts["iteration"][counts["n_nan"] > 0].min()
    return bool(np.argmax(flags > 0) == BROKEN_BATCH == seen)
