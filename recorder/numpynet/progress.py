"""Progress of a training as text on standard output."""

import sys
import time
from typing import TextIO

from .callbacks import Callback, Logs

_REDRAW_S = 0.1


class Progress(Callback):
    """One line per epoch; on a terminal it counts the batches while they run.

    ``verbose`` 1 shows that count, 2 only the finished lines.
    """

    def __init__(self, verbose: int = 1, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._is_live = verbose == 1 and self._stream.isatty()
        self._drawn_s = 0.0
        self._begin_s = 0.0
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Start the clock."""
        self._epoch = epoch
        self._begin_s = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Redraw the line, not more often than the eye follows."""
        if self._is_live and time.perf_counter() - self._drawn_s > _REDRAW_S:
            self._drawn_s = time.perf_counter()
            self._stream.write("\r" + self._line(f"{batch + 1}/{self.params['steps']}", logs or {}))
            self._stream.flush()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the finished line."""
        duration = f"{time.perf_counter() - self._begin_s:.2f} s"
        start = "\r\x1b[K" if self._is_live else ""
        self._stream.write(start + self._line(duration, logs or {}) + "\n")
        self._stream.flush()

    def _line(self, state: str, logs: Logs) -> str:
        epoch = f"Epoch {self._epoch + 1}/{self.params['epochs']}"
        return "  ".join((epoch, state, *(f"{name} {value:.4f}" for name, value in logs.items())))
