"""The trace format: everything that recorder and analyzer share.

`open_trace` reads a trace, `create_writer` starts one, `convert` changes its format.
"""

from .convert import convert
from .errors import (
    TraceError,
    TraceExistsError,
    TraceFieldError,
    TraceFormatError,
    TraceFullError,
    TraceLookupError,
    TraceNotFoundError,
    TraceReadError,
    TraceVersionError,
    TraceWriteError,
)
from .files import create_writer, open_reader
from .header import DataSummary, FeatureSummary, Header, Layer, Opening, Series, Unrecorded
from .histogram import Histogram
from .interface import Event, Tensor, TensorEntry, TraceReader, TraceWriter
from .schema import (
    FORMAT_VERSION,
    ITERATIONS,
    STATISTICS,
    Column,
    EventName,
    Kind,
    Phase,
    RunStatus,
)
from .table import Block, Table, concatenate, empty_block, empty_table
from .trace import Trace, open_trace

__all__ = [
    "FORMAT_VERSION",
    "ITERATIONS",
    "STATISTICS",
    "Block",
    "Column",
    "DataSummary",
    "Event",
    "EventName",
    "FeatureSummary",
    "Header",
    "Histogram",
    "Kind",
    "Layer",
    "Opening",
    "Phase",
    "RunStatus",
    "Series",
    "Table",
    "Tensor",
    "TensorEntry",
    "Trace",
    "TraceError",
    "TraceExistsError",
    "TraceFieldError",
    "TraceFormatError",
    "TraceFullError",
    "TraceLookupError",
    "TraceNotFoundError",
    "TraceReadError",
    "TraceReader",
    "TraceVersionError",
    "TraceWriteError",
    "TraceWriter",
    "Unrecorded",
    "concatenate",
    "convert",
    "create_writer",
    "empty_block",
    "empty_table",
    "open_reader",
    "open_trace",
]
