"""A trace as a person in a notebook meets it: pandas views over any storage format."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import hdf5
from .display import trace_html
from .errors import TraceLookupError
from .files import open_reader
from .header import Header, Layer
from .histogram import Bin, bins
from .interface import Event, TraceReader, end_of, lost_tensors
from .lookup import find_entry, find_own_series, find_series, name_of
from .plots import Plots
from .schema import ITERATIONS, STATISTICS, Kind
from .table import Block

# Rows read at once: bounds the memory that a long trace takes beside its result.
_CHUNK_ITERATIONS = 2048


def open_trace(path: str | Path, *, repair: bool = False) -> "Trace":
    """Open a trace, whether its run ended, was killed or is still going on.

    Parameters
    ----------
    repair
        Also clear the mark that a killed process leaves on an HDF5 file, so that other tools open
        it. Not while the run is going on.

    Raises
    ------
    TraceNotFoundError, TraceReadError, TraceFormatError, TraceVersionError
        As `open_reader`.
    TraceWriteError
        The file cannot be repaired.
    """
    if repair and Path(path).is_file():
        hdf5.repair(Path(path))
    return Trace(Path(path), open_reader(path))


class Trace:
    """A trace opened for reading; a context manager.

    Attributes
    ----------
    path
        Where it lies.
    reader
        Blocks of NumPy columns instead of pandas frames.
    """

    def __init__(self, path: Path, reader: TraceReader) -> None:
        self.path = path
        self.reader = reader

    def __enter__(self) -> "Trace":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        try:
            n_iterations = f"{self.n_iterations} iterations"
        except ValueError:
            return f"<Trace {str(self.path)!r}: closed>"
        return (
            f"<Trace {str(self.path)!r}: {n_iterations}, "
            f"{len(self.header.layers)} layers, {len(self.header.series)} series>"
        )

    @property
    def header(self) -> Header:
        """Model, configuration, data and the list of series."""
        return self.reader.header

    @property
    def n_iterations(self) -> int:
        """Iterations that can be read."""
        return self.reader.n_iterations

    @property
    def ended(self) -> Mapping[str, Any] | None:
        """How the run ended; None if it was killed or is still going on."""
        end = end_of(self.reader.events())
        return None if end is None else end.details

    @property
    def iterations(self) -> pd.DataFrame:
        """One row per iteration: the columns of the iterations table and one for each metric."""
        metrics = {
            i: series.tensor
            for i, series in enumerate(self.header.series)
            if series.kind is Kind.METRIC
        }
        columns = ["mean"] if metrics else []
        return _concatenated(
            _iterations_frame(block, metrics) for block in self._blocks(0, None, columns)
        )

    @property
    def layers(self) -> pd.DataFrame:
        """One row per layer, in execution order; the index is that of ``header.layers``."""
        rows = [vars(layer) for layer in self.header.layers]
        return pd.DataFrame(rows, columns=[field.name for field in fields(Layer)])

    @property
    def series(self) -> pd.DataFrame:
        """One row per series; the index is that of ``header.series``."""
        columns = [*_NAMES, "phase", "position", "shape", "dtype"]
        rows = [
            {**vars(series), **self._names(i), "phase": str(series.kind.phase)}
            for i, series in enumerate(self.header.series)
        ]
        return pd.DataFrame(rows, columns=columns)

    @property
    def events(self) -> pd.DataFrame:
        """One row per event, in the order of writing."""
        rows = [vars(event) for event in self.reader.events()]
        return pd.DataFrame(rows, columns=[field.name for field in fields(Event)])

    @property
    def tensors(self) -> pd.DataFrame:
        """One row per full tensor: what `tensor` can return."""
        columns = ["iteration", *_NAMES, "dtype", "shape"]
        rows = [{**vars(e), **self._names(e.series)} for e in self.reader.tensor_entries()]
        return pd.DataFrame(rows, columns=columns)

    def statistics(
        self,
        layer: str | int | None = None,
        kind: str | None = None,
        tensor: str | None = None,
        call: int | None = None,
        start: int = 0,
        stop: int | None = None,
    ) -> pd.DataFrame:
        """Statistics in long form: one row per iteration and series that was recorded in it.

        Parameters
        ----------
        layer
            Name, path or index in ``header.layers``; None for all series. The NaN that data
            frames have in place of a layer stands for the series of none.
        kind, tensor, call
            As in ``header.series``; None for all.
        start, stop
            The first iteration, and the one after the last.

        Returns
        -------
        pandas.DataFrame
            iteration, epoch, layer, kind, tensor, call, and the columns of the statistics
            table.

        Raises
        ------
        TraceLookupError
            There is no such layer, kind, tensor or call.
        """
        chosen = np.array(find_series(self.header, layer, kind, tensor, call), dtype=np.intp)
        names = pd.DataFrame([self._names(i) for i in chosen], columns=_NAMES)
        names = names.astype({"layer": "category", "kind": "category", "tensor": "category"})
        rows = self._row_at(start), None if stop is None else self._row_at(stop)
        return _concatenated(
            _statistics_frame(block, chosen, names) for block in self._blocks(*rows)
        )

    def tensor(
        self,
        iteration: int,
        layer: str | int | None = None,
        kind: str = Kind.OUTPUT,
        tensor: str | None = None,
        call: int = 0,
    ) -> NDArray[Any]:
        """The full values of one tensor.

        Parameters
        ----------
        iteration
            Global training step.
        layer
            Name, path or index in ``header.layers``; None, or the NaN that `tensors` has in its
            place, for tensors of the batch or step.
        kind, tensor, call
            As in ``header.series``; ``tensor`` is needed where a layer has several of a kind.

        Raises
        ------
        TraceLookupError
            It was not recorded, or several are meant.
        """
        series = find_own_series(self.header, layer, kind, tensor, call)
        entries = [e for e in self.reader.tensor_entries() if e.series in series]
        what = f"{kind} of {name_of(layer)}"
        try:
            return self.reader.read_tensor(find_entry(self.header, entries, iteration, what))
        except TraceLookupError as error:
            lost = iteration in lost_tensors(self.reader, self.reader.events())
            hint = (
                f"; what was kept of iteration {iteration} is missing: copy it again"
                if lost
                else ""
            )
            raise TraceLookupError(f"{self.path}: {error}{hint}") from None

    def histogram(
        self,
        layer: str | int | None = None,
        kind: str | None = None,
        tensor: str | None = None,
        call: int | None = None,
        start: int = 0,
        stop: int | None = None,
    ) -> pd.DataFrame:
        """How elements spread over the powers of two: one row per bin that holds any.

        Parameters
        ----------
        layer, kind, tensor, call, start, stop
            As in `statistics`.

        Returns
        -------
        pandas.DataFrame
            iteration, layer, kind, tensor, call, and the fields of `Bin`; empty where no
            histograms were recorded.

        Raises
        ------
        TraceLookupError
            There is no such layer, kind, tensor or call.
        """
        chosen = set(find_series(self.header, layer, kind, tensor, call))
        rows: list[dict[str, Any]] = []
        for one in self.reader.histograms():
            is_inside = start <= one.iteration and (stop is None or one.iteration < stop)
            if one.series in chosen and is_inside:
                names = {"iteration": one.iteration, **self._names(one.series)}
                rows += [{**names, **found._asdict()} for found in bins(one)]
        return pd.DataFrame(rows, columns=["iteration", *_NAMES, *Bin._fields])

    @property
    def plot(self) -> Plots:
        """Plots: ``plot.heatmap(kind)``, ``plot.series(layer, kind)``, ``plot.losses()``."""
        return Plots(self.reader, self._row_at)

    def _repr_html_(self) -> str:
        return trace_html(self.path, self.reader)

    def refresh(self) -> None:
        """See what a run that is still going on has flushed since."""
        self.reader.refresh()

    def close(self) -> None:
        """Release the file; a second call does nothing."""
        self.reader.close()

    def _blocks(
        self, start: int, stop: int | None, columns: list[str] | None = None
    ) -> Iterator[Block]:
        """Rows in chunks; at least one chunk, so that an empty result has its columns."""
        last = self.n_iterations if stop is None else min(stop, self.n_iterations)
        for first in range(start, max(last, start + 1), _CHUNK_ITERATIONS):
            yield self.reader.read(first, min(first + _CHUNK_ITERATIONS, last), columns)

    def _row_at(self, iteration: int) -> int:
        """The first row whose iteration is not smaller."""
        low, high = 0, self.n_iterations
        while low < high:
            middle = (low + high) // 2
            if self.reader.iterations(middle, middle + 1)["iteration"][0] < iteration:
                low = middle + 1
            else:
                high = middle
        return low

    def _names(self, series: int) -> dict[str, Any]:
        """What a person calls a series by."""
        facts = self.header.series[series]
        layer = self.header.layer_of(facts)
        return {
            "layer": layer and layer.name,
            "kind": str(facts.kind),
            "tensor": facts.tensor,
            "call": facts.call,
        }


_NAMES = ["layer", "kind", "tensor", "call"]


def _iterations_frame(block: Block, metrics: Mapping[int, str]) -> pd.DataFrame:
    """The iterations table of a block, with the metrics by their index in the series."""
    frame = pd.DataFrame({column.name: block.iterations[column.name] for column in ITERATIONS})
    rows = np.searchsorted(frame["iteration"], block.recorded)
    for series, name in metrics.items():
        values = np.full(len(frame), np.nan)
        values[rows] = block.statistics["mean"][:, series]
        frame[f"metric_{name}" if name in frame else name] = values
    return frame


def _statistics_frame(block: Block, chosen: NDArray[np.intp], names: pd.DataFrame) -> pd.DataFrame:
    """The chosen series of a block in long form, without what was not recorded."""
    statistics = block.statistics.series(chosen)
    row, place = np.nonzero(statistics["n"] >= 0)
    of_iteration = np.searchsorted(block.iterations["iteration"], block.recorded)
    frame = names.take(place).reset_index(drop=True)
    frame.insert(0, "iteration", block.recorded[row])
    frame.insert(1, "epoch", block.iterations["epoch"][of_iteration][row])
    for column in STATISTICS:
        frame[column.name] = statistics[column.name][row, place]
    return frame


def _concatenated(frames: Iterator[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(list(frames), ignore_index=True)
