"""One trace being written: rows in, blocks out, the disk kept away from the training.

Knows nothing of any framework. Whoever appends fills a block of rows; a background thread
turns full blocks (or, after a while, part of one) into columns and hands them to the trace
writer. At most two blocks wait: when the disk is slower, training waits rather than memory
growing.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deeplocalize.traces.errors import TraceError, TraceFullError
from deeplocalize.traces.header import Header
from deeplocalize.traces.histogram import Histogram
from deeplocalize.traces.interface import Event, Tensor, TraceWriter
from deeplocalize.traces.schema import EventName

from .row import Row, block_of
from .warning import warn

BLOCK_BYTES = 2 << 20
"""Size at which a block goes to the writer."""

FLUSH_AFTER_S = 2.0
"""A partial block is written this long after the last one; in long runs, up to `LONGEST_WAIT_S`."""

LONGEST_WAIT_S = 60.0


@dataclass
class _Batch:
    """What is handed to the writer thread."""

    rows: list[Row] = field(default_factory=list)
    first_iteration: int = 0
    n_bytes: int = 0
    header: Header | None = None
    events: list[Event] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    histograms: list[Histogram] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not (self.rows or self.events or self.tensors or self.histograms or self.header)


class Recording:
    """Appends iterations to a trace from a background thread.

    Parameters
    ----------
    writer
        Where the trace goes. Closed by `close`.
    header
        Written at once; replaced by `set_header`.
    block_bytes, flush_after_s
        How much, and for how long, may be lost to a killed process.
    max_bytes
        Size from which on `is_full`.

    `append`, `append_tensors` and `close` raise what the writer raised since.
    """

    def __init__(
        self,
        writer: TraceWriter,
        header: Header,
        block_bytes: int | None = None,
        flush_after_s: float = FLUSH_AFTER_S,
        max_bytes: int | None = None,
    ) -> None:
        self._writer = writer
        self.header = header
        self.n_iterations = 0
        """Number of the next iteration."""
        self._began = time.perf_counter()
        self._block_bytes = BLOCK_BYTES if block_bytes is None else block_bytes
        self._flush_after_s = flush_after_s
        self._failure: Exception | None = None
        self._closed = False
        self._has_written = self._has_header = False
        self._max_bytes = max_bytes
        self.is_full = False
        """Whether the trace has reached ``max_bytes``; what is appended then is written still."""
        self.writing_s = 0.0
        """How long a processor has been writing: the disk's time is not in it."""
        self._n_series_written = 0
        self._n_handed_over = 0
        self._batch = _Batch(header=header)
        self._lock = threading.Lock()
        self._queue: queue.Queue[_Batch | None] = queue.Queue(maxsize=2)
        self._thread = threading.Thread(target=self._write, name="deeplocalize", daemon=True)
        self._thread.start()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the recording began."""
        return time.perf_counter() - self._began

    def number_from(self, iteration: int) -> None:
        """Give the first iteration this number; no effect once there is one."""
        with self._lock:
            if not self.n_iterations:
                self.n_iterations = self._batch.first_iteration = iteration

    def set_header(self, header: Header) -> None:
        """Replace the header; the series must stay where they are."""
        self.header = header
        with self._lock:
            self._batch.header = header

    def append(self, row: Row) -> None:
        """Add the next iteration. May wait for the disk."""
        self._raise_failure()
        with self._lock:
            batch = self._batch
            batch.rows.append(row)
            batch.n_bytes += row.statistics.nbytes
            self.n_iterations += 1
        if batch.n_bytes >= self._block_bytes:
            self._hand_over()

    def append_tensors(self, tensors: Sequence[Tensor]) -> None:
        """Add full tensors, which must not change any more. May wait for the disk."""
        self._raise_failure()
        with self._lock:
            self._batch.tensors += tensors
            self._batch.n_bytes += sum(tensor.values.nbytes for tensor in tensors)
        if self._batch.n_bytes >= self._block_bytes:
            self._hand_over()

    def append_histograms(self, histograms: Sequence[Histogram]) -> None:
        """Add histograms. They are small beside the rows of their iteration."""
        self._raise_failure()
        with self._lock:
            self._batch.histograms += histograms

    def event(
        self, name: EventName, message: str = "", details: Mapping[str, Any] | None = None
    ) -> None:
        """Note that something happened at the current iteration.

        That the trace is full is told to the person, too.
        """
        event = Event(name, message, self.n_iterations - 1, self.elapsed_s, details or {})
        with self._lock:
            self._batch.events.append(event)
        if name is EventName.LIMIT:
            warn(f"deeplocalize: {message}; the training goes on")

    def close(self) -> None:
        """Write what is left and close the trace; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._hand_over()
        self._queue.put(None)
        self._thread.join()
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _hand_over(self) -> None:
        with self._lock:
            batch = self._batch
            if batch.is_empty:
                return
            self._batch = _Batch(first_iteration=batch.first_iteration + len(batch.rows))
            self._n_handed_over += 1
        self._queue.put(batch)

    # ---- the background thread --------------------------------------------------------------

    def _write(self) -> None:
        """Write batches until told to stop; after a failure only drain the queue."""
        n_taken = 0
        while True:
            try:
                batch = self._queue.get(timeout=self._patience_s())
            except queue.Empty:
                with self._lock:
                    if self._n_handed_over > n_taken:
                        continue  # what was handed over since the wait ended comes first
                    batch = self._batch
                    self._batch = _Batch(first_iteration=batch.first_iteration + len(batch.rows))
                self._write_batch(batch)
                continue
            if batch is not None:
                n_taken += 1
                self._write_batch(batch)
            self._queue.task_done()
            if batch is None:
                break
        try:
            self._writer.close()
        except Exception as error:  # handed to whoever appends, who decides
            self._failure = self._failure or error

    def _patience_s(self) -> float:
        """How long rows may wait: the header not at all, the first ones briefly.

        Long runs flush less often: a Parquet trace would else consist of countless files.
        """
        if not self._has_written:
            return 0.0
        early = min(max(self.elapsed_s / 4, 0.1), self._flush_after_s)
        return max(early, min(self.elapsed_s / 100, LONGEST_WAIT_S))

    def _write_batch(self, batch: _Batch) -> None:
        if isinstance(self._failure, TraceFullError) and self._has_header:
            # Small enough to fit perhaps, and worth it: how the run ended.
            with contextlib.suppress(TraceError):
                self._writer.append_events(batch.events)
        if self._failure is not None or batch.is_empty:
            return
        self._has_written = True
        began = time.thread_time()
        try:
            if batch.header is not None:
                self._writer.write_header(batch.header)
                self._has_header = True
                self._n_series_written = len(batch.header.series)
            if batch.rows:
                self._append(batch.rows, batch.first_iteration)
            if batch.tensors:
                self._writer.append_tensors(batch.tensors)
            if batch.histograms:
                self._writer.append_histograms(batch.histograms)
            if batch.events:
                self._writer.append_events(batch.events)
            self._writer.flush()
            self.is_full = self._max_bytes is not None and self._writer.n_bytes >= self._max_bytes
        except Exception as error:  # handed to whoever appends, who decides
            self._failure = error
        self.writing_s += time.thread_time() - began

    def _append(self, rows: Sequence[Row], first_iteration: int) -> None:
        """Write rows; where not all find room, as many as do."""
        n_kept, length = 0, len(rows)
        while n_kept < len(rows):
            part = rows[n_kept : n_kept + length]
            first = first_iteration + n_kept
            try:
                self._writer.append(block_of(part, first, self._n_series_written))
                self._writer.flush()
                n_kept += len(part)
            except TraceFullError as error:
                length //= 2
                if not length:
                    kept = f"the first {first} iterations are kept, later ones are lost"
                    raise TraceFullError(f"{error}; {kept}") from error
