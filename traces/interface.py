"""The two small contracts behind which HDF5 and Parquet hide.

``tests/traces/conformance/`` is what they mean: a new format is finished when it passes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .document import AtLeast
from .header import Header
from .histogram import Histogram
from .schema import EventName
from .table import Block, Table


@dataclass(frozen=True)
class Event:
    """Something that happened; names are those of `EventName`, in later releases also others."""

    name: str
    message: str = ""
    iteration: Annotated[int, AtLeast(-1)] = -1
    time_s: float = 0.0
    details: Mapping[str, Any] = field(default_factory=dict)


def end_of(events: Sequence[Event]) -> Event | None:
    """The event with which the last run in the trace ended; None if none is recorded."""
    for event in reversed(events):
        if event.name == EventName.END:
            return event
        if event.name == EventName.BEGIN:
            break
    return None


def lost_tensors(reader: "TraceReader", events: Sequence[Event]) -> list[int]:
    """Iterations of which events say that tensors are kept in full, and the trace has none."""
    named = [event.details.get("kept") for event in events if event.name == EventName.ANOMALY]
    kept = {i for some in named if isinstance(some, list) for i in some if isinstance(i, int)}
    return sorted(kept - {entry.iteration for entry in reader.tensor_entries()}) if kept else []


@dataclass(frozen=True)
class Tensor:
    """The full values of one series in one iteration."""

    iteration: int
    series: int
    values: NDArray[Any]


@dataclass(frozen=True)
class TensorEntry:
    """Where a full tensor stands: what `TraceReader.read_tensor` takes."""

    iteration: int
    series: int
    dtype: str
    shape: tuple[int, ...]
    location: tuple[int, ...] = ()


class TraceWriter(Protocol):
    """Appends to a new trace. Everything before the last `flush` survives a killed process.

    Every method raises `TraceWriteError` when the storage refuses, and again whenever it is called
    after that; what was flushed before stays readable. Only after a `TraceFullError` something
    smaller may be tried. ValueError means wrong use: no header yet, a closed writer, a block that
    cannot follow the last one.
    """

    @property
    def n_bytes(self) -> int:
        """What the trace takes on disk so far; 0 before its first header."""

    def write_header(self, header: Header) -> None:
        """Set or replace the header; the first call comes before anything is appended."""

    def append(self, block: Block) -> None:
        """Add a block; its statistics may have fewer series than the header, never more."""

    def append_tensors(self, tensors: Sequence[Tensor]) -> None:
        """Add full tensors."""

    def append_histograms(self, histograms: Sequence[Histogram]) -> None:
        """Add histograms."""

    def append_events(self, events: Sequence[Event]) -> None:
        """Add events."""

    def flush(self) -> None:
        """Make everything appended so far readable for other processes."""

    def close(self) -> None:
        """Flush and close; a second call does nothing."""


class TraceReader(Protocol):
    """Reads a trace, also one that is still being written or whose process was killed.

    Every method raises `TraceFormatError` for damaged data. Nothing is read before it is asked for.
    """

    @property
    def header(self) -> Header:
        """The last complete header."""

    @property
    def n_iterations(self) -> int:
        """Iterations that can be read."""

    @property
    def ends(self) -> NDArray[np.int64]:
        """Rows of the iterations table at which its blocks end, increasing.

        A block is read and verified as a whole, also where only part of it is asked for.
        """

    def iterations(self, start: int = 0, stop: int | None = None) -> Table:
        """Rows ``start`` to ``stop`` of the iterations table."""

    def read(
        self, start: int = 0, stop: int | None = None, columns: Sequence[str] | None = None
    ) -> Block:
        """Rows ``start`` to ``stop`` with their statistics (all columns, or the named ones).

        The statistics have as many series as the header.
        """

    def tensor_entries(self) -> Sequence[TensorEntry]:
        """Every full tensor in the trace, in the order of writing."""

    def read_tensor(self, entry: TensorEntry) -> NDArray[Any]:
        """The values of one full tensor."""

    def histograms(self) -> Iterator[Histogram]:
        """Every histogram, in the order of writing, read piece by piece."""

    def events(self) -> Sequence[Event]:
        """Every event, in the order of writing."""

    def refresh(self) -> None:
        """See what was flushed since the trace was opened."""

    def close(self) -> None:
        """Release the file; a second call does nothing."""
