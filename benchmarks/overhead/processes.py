"""The processes in which is measured, as the command that starts them sees them.

A plain training and one with a tool run in a process each, and take turns epoch by epoch (A B A B
...): each waits while the other trains. So both meet the same changes of the machine's speed, and
what a tool leaves behind in TensorFlow's global state reaches no other.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any
from unittest import mock

N_WARM_EPOCHS = 1
"""Epochs that do not count: tracing and compiling are in them."""
_FALLBACK_ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}


def measured_pairs(
    workload: str, arm: str, n_pairs: int, max_batches: int | None = None
) -> dict[str, Any]:
    """Seconds per step, plain and with the arm, of alternating epochs; bytes per step recorded.

    Epochs have at most ``max_batches`` (default: all of the workload's).
    """
    n_epochs = N_WARM_EPOCHS + n_pairs
    with (
        _measuring("turns", workload, "plain", n_epochs, max_batches) as plain,
        _measuring("turns", workload, arm, n_epochs, max_batches) as tool,
    ):
        pairs = [(_epoch(plain), _epoch(tool)) for _ in range(n_epochs)][N_WARM_EPOCHS:]
        plain_s, arm_s = map(list, zip(*pairs, strict=True))
        _answer(plain)
        return {"plain_s": plain_s, "arm_s": arm_s, **_answer(tool)}


def measured_start(workload: str, arm: str, cache: str) -> dict[str, Any]:
    """Seconds to the end of the first step, and peak memory; ``cache`` is numba's folder."""
    with (
        mock.patch.dict(os.environ, NUMBA_CACHE_DIR=cache),
        _measuring("start", workload, arm) as told,
    ):
        found: dict[str, Any] = _answer(told)
        return found


@contextmanager
def _measuring(kind: str, *arguments: object) -> Iterator[Connection]:
    here, there = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_measure, args=(there, kind, *arguments))
    with mock.patch.dict(os.environ, {**_FALLBACK_ENVIRONMENT, **os.environ}):
        process.start()
    there.close()  # or the end of the process would not be seen
    try:
        yield here
    finally:
        process.kill()
        process.join()


def _measure(connection: Connection, kind: str, *arguments: object) -> None:
    # Imported here: the process that only waits for the others needs no TensorFlow.
    import_module("benchmarks.overhead.training").MEASUREMENTS[kind](connection, *arguments)


def _epoch(training: Connection) -> float:
    with suppress(OSError):  # the answer says that it has ended
        training.send(None)
    seconds: float = _answer(training)
    return seconds


def _answer(connection: Connection) -> Any:
    try:
        return connection.recv()
    except (EOFError, OSError):
        sys.exit("a process that was measured ended early; it says above why")
