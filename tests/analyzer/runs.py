"""A small healthy run in memory, of which a test changes just the numbers that matter."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplocalize.traces.header import DataSummary, Header, Layer, Series, Unrecorded
from deeplocalize.traces.histogram import Histogram
from deeplocalize.traces.interface import Event, Tensor, TensorEntry, TraceWriter
from deeplocalize.traces.schema import ITERATIONS, STATISTICS, Kind
from deeplocalize.traces.table import Block, Table

BATCHES_PER_EPOCH = 20
BATCH = 32

LAYERS = (
    Layer(0, "fc1", "fc1", "Dense", 0, "relu", n_parameters=40),
    Layer(1, "mid", "mid", "Lambda", 1, None, inbound=("fc1",)),
    Layer(2, "fc2", "fc2", "Dense", 2, "softmax", n_parameters=27, inbound=("mid",)),
)

_KERNELS = {0: (4, 8), 2: (8, 3)}
_WIDTHS = {0: 8, 1: 8, 2: 3}


def _series() -> tuple[Series, ...]:
    """Every tensor of a step of the network above, in execution order."""
    rows: list[tuple[Kind, int | None, str, tuple[int | None, ...]]] = [
        (Kind.INPUT, None, "x", (None, 4)),
        (Kind.LABEL, None, "y", (None, 3)),
    ]
    for layer, shape in _KERNELS.items():
        rows += [(Kind.WEIGHT, layer, "kernel", shape), (Kind.WEIGHT, layer, "bias", shape[1:])]
    rows += [(Kind.OUTPUT, layer, "", (None, width)) for layer, width in _WIDTHS.items()]
    rows += [(Kind.LOSS, None, "loss", ()), (Kind.METRIC, None, "accuracy", ())]
    for layer, width in reversed(_WIDTHS.items()):
        rows.append((Kind.OUTPUT_GRADIENT, layer, "", (None, width)))
        if layer in _KERNELS:
            shape = _KERNELS[layer]
            rows.append((Kind.WEIGHT_GRADIENT, layer, "kernel", shape))
            rows.append((Kind.WEIGHT_GRADIENT, layer, "bias", shape[1:]))
    for layer, shape in _KERNELS.items():
        rows.append((Kind.WEIGHT_UPDATE, layer, "kernel", shape))
        rows.append((Kind.WEIGHT_UPDATE, layer, "bias", shape[1:]))
    rows.append((Kind.STATE, 1, "moving_mean", (8,)))
    return tuple(
        Series(kind, position, layer, 0, tensor, shape)
        for position, (kind, layer, tensor, shape) in enumerate(rows)
    )


LABELS = DataSummary(
    Kind.LABEL, "y", (None, 3), "float32", 640, 0.0, 1.0, 1 / 3, is_one_hot=True,
    class_counts={"0": 220, "1": 210, "2": 210},
)  # fmt: skip

HEADER = Header(
    framework="keras",
    model_name="net",
    model_class="Sequential",
    loss="categorical_crossentropy",
    optimizer={"class_name": "Adam", "config": {"learning_rate": 0.001}},
    layers=LAYERS,
    series=_series(),
    data=(LABELS,),
)

_SIZES = {
    Kind.WEIGHT: 0.3,
    Kind.WEIGHT_GRADIENT: 0.02,
    Kind.OUTPUT_GRADIENT: 0.001,
    Kind.WEIGHT_UPDATE: 0.001,
    Kind.STATE: 0.1,
}


class MemoryReader:
    """A trace reader over arrays that are made for the asked rows."""

    def __init__(self, header: Header, block: Block, events: Sequence[Event] = ()) -> None:
        self._header, self._block, self._events = header, block, tuple(events)

    @property
    def header(self) -> Header:
        return self._header

    @property
    def n_iterations(self) -> int:
        return len(self._block.iterations)

    @property
    def ends(self) -> NDArray[np.int64]:
        return np.array([self.n_iterations])

    def iterations(self, start: int = 0, stop: int | None = None) -> Table:
        return self._block.iterations.rows(start, self.n_iterations if stop is None else stop)

    def read(
        self, start: int = 0, stop: int | None = None, columns: Sequence[str] | None = None
    ) -> Block:
        rows = self.iterations(start, stop)
        first, last = np.searchsorted(
            self._block.recorded, [rows["iteration"][0], rows["iteration"][-1] + 1]
        ) if len(rows) else (0, 0)  # fmt: skip
        chosen = self._block.statistics.rows(int(first), int(last))
        names = chosen.names if columns is None else columns
        statistics = Table(STATISTICS, {name: chosen[name] for name in names})
        return Block(rows, self._block.recorded[first:last], statistics)

    def tensor_entries(self) -> Sequence[TensorEntry]:
        return ()

    def read_tensor(self, entry: TensorEntry) -> NDArray[Any]:
        raise LookupError(entry)

    def histograms(self) -> Iterator[Histogram]:
        return iter(())

    def events(self) -> Sequence[Event]:
        return self._events

    def refresh(self) -> None:
        pass

    def close(self) -> None:
        pass


class FakeRun:
    """A healthy run; `put` changes what a tensor held in some iterations."""

    def __init__(self, n_iterations: int = 60, header: Header = HEADER, seed: int = 0) -> None:
        self.header = header
        self.events: list[Event] = [Event("end", details={"status": "completed"})]
        random = np.random.default_rng(seed)
        n = n_iterations
        self.iterations: dict[str, NDArray[Any]] = {
            "iteration": np.arange(n),
            "epoch": np.arange(n) // BATCHES_PER_EPOCH,
            "batch": np.arange(n) % BATCHES_PER_EPOCH,
            "n_samples": np.full(n, BATCH),
            "loss": 1.1 * np.exp(-np.arange(n) / 30) + 0.05 * random.random(n),
            "learning_rate": np.full(n, 0.001),
            "loss_scale": np.ones(n),
            "n_nonfinite_series": np.zeros(n, dtype=np.int64),
            "time_s": np.arange(n) * 0.01,
        }
        self.statistics = _healthy_statistics(header, n, random)
        self.recorded = np.arange(n)

    def index(self, kind: Kind, layer: str | None = None, tensor: str | None = None) -> int:
        """Index of a series."""
        for i, series in enumerate(self.header.series):
            owner = self.header.layer_of(series)
            if (
                series.kind is kind
                and (owner.name if owner else None) == layer
                and tensor in (None, series.tensor)
            ):
                return i
        raise LookupError((kind, layer, tensor))

    def put(
        self,
        at: int | slice,
        kind: Kind,
        layer: str | None = None,
        tensor: str | None = None,
        **columns: float,
    ) -> "FakeRun":
        """Set columns of one series in one iteration or a slice of them; returns the run."""
        i = self.index(kind, layer, tensor)
        for name, value in columns.items():
            self.statistics[name][at, i] = value
        if kind is Kind.LOSS and columns.get("n_nan"):
            self.iterations["loss"][at] = np.nan
        return self

    def zero(
        self, at: int | slice, kind: Kind, layer: str | None = None, tensor: str | None = None
    ) -> "FakeRun":
        """Make a series exactly zero; returns the run."""
        i = self.index(kind, layer, tensor)
        self.statistics["n_zero"][at, i] = self.statistics["n"][at, i]
        units = self.header.series[i].shape
        if kind is Kind.OUTPUT and units[-1]:
            self.statistics["n_zero_units"][at, i] = units[-1]
        for name in ("min", "max", "mean", "mean_abs", "rms"):
            self.statistics[name][at, i] = 0.0
        return self

    def thin(self, keep: Callable[[int], bool]) -> "FakeRun":
        """Leave statistics only in some iterations, as a schedule does; returns the run."""
        kept = np.array([keep(int(iteration)) for iteration in self.recorded], bool)
        self.recorded = self.recorded[kept]
        self.statistics = {name: values[kept] for name, values in self.statistics.items()}
        return self

    def breaks(
        self, at: int, kind: Kind, layer: str | None = None, tensor: str | None = None
    ) -> "FakeRun":
        """Fill with NaN everything that comes after a series, then everything for good."""
        position = self.header.series[self.index(kind, layer, tensor)].position
        for i, series in enumerate(self.header.series):
            if series.kind in (Kind.INPUT, Kind.LABEL):
                continue
            follows = series.position > position and series.kind is not Kind.WEIGHT
            since = at if follows else at + 1
            self.statistics["n_nan"][since:, i] = self.statistics["n"][since:, i]
            for name in ("min", "max", "mean", "mean_abs", "rms"):
                self.statistics[name][since:, i] = np.nan
        is_lost = position <= self.header.series[self.index(Kind.LOSS)].position
        self.iterations["loss"][at + (not is_lost) :] = np.nan
        return self

    def block(self) -> Block:
        """Everything recorded, as one block."""
        broken = self.statistics["n_nan"] + self.statistics["n_posinf"]
        broken = (broken + self.statistics["n_neginf"] > 0).sum(axis=1)
        flags = np.zeros(len(self.iterations["iteration"]), dtype=np.int64)
        flags[self.recorded] = broken
        return Block(
            Table(ITERATIONS, {**self.iterations, "n_nonfinite_series": flags}),
            self.recorded,
            Table(STATISTICS, self.statistics),
        )

    def reader(self) -> MemoryReader:
        """The run as a trace."""
        return MemoryReader(self.header, self.block(), self.events)

    def write(self, writer: TraceWriter) -> None:
        """Store the run as a real trace, in blocks of different lengths."""
        writer.write_header(self.header)
        block = self.block()
        cuts = [0, 7, 20, len(self.recorded)]
        for start, stop in pairwise(cuts):
            writer.append(
                Block(
                    block.iterations.rows(start, stop),
                    block.recorded[start:stop],
                    block.statistics.rows(start, stop),
                )
            )
        writer.append_tensors(tuple[Tensor, ...]())
        writer.append_events(self.events)
        writer.close()


def unrecorded(run: FakeRun, layer: str) -> FakeRun:
    """The run as if the layer's output and output gradient had not been tapped."""
    i = next(i for i, other in enumerate(run.header.layers) if other.name == layer)
    kinds = (Kind.OUTPUT, Kind.OUTPUT_GRADIENT)
    return _without(run, i, kinds, "observing it would change the run")


def unfed(run: FakeRun, kind: Kind) -> FakeRun:
    """The run as if what was fed of a kind had been nothing that can be recorded."""
    return _without(run, None, (kind,), "it is a list")


def _without(run: FakeRun, layer: int | None, kinds: Sequence[Kind], reason: str) -> FakeRun:
    series = run.header.series
    kept = [k for k, s in enumerate(series) if not (s.layer == layer and s.kind in kinds)]
    missing = tuple(Unrecorded(kind, layer, reason) for kind in kinds)
    run.header = replace(
        run.header,
        series=tuple(run.header.series[k] for k in kept),
        unrecorded=(*run.header.unrecorded, *missing),
    )
    run.statistics = {name: values[:, kept] for name, values in run.statistics.items()}
    return run


def _healthy_statistics(
    header: Header, n_rows: int, random: np.random.Generator
) -> dict[str, NDArray[Any]]:
    shape = (n_rows, len(header.series))
    size = np.array([_SIZES.get(series.kind, 1.0) for series in header.series])
    rms = size * (1 + 0.2 * random.random(shape))
    n = np.array([_n_elements(series) for series in header.series])
    has_units = np.array([series.kind is Kind.OUTPUT for series in header.series])
    zero = np.zeros(shape, dtype=np.int64)
    is_relu = np.array(
        [
            series.kind is Kind.OUTPUT and header.layers[series.layer or 0].activation == "relu"
            for series in header.series
        ]
    )
    lowest = np.where(is_relu | (np.array([s.kind is Kind.LABEL for s in header.series])), 0, -2)
    statistics: dict[str, NDArray[Any]] = {
        "n": np.tile(n, (n_rows, 1)),
        "n_nan": zero.copy(),
        "n_posinf": zero.copy(),
        "n_neginf": zero.copy(),
        "n_zero": np.where(is_relu, n // 2, zero),
        "n_zero_units": np.where(has_units, zero, -1),
        "n_constant_units": np.where(has_units, zero, -1),
        "min": lowest * rms,
        "max": 2 * rms,
        "mean": 0.4 * rms,
        "mean_abs": 0.8 * rms,
        "rms": rms,
        "checksum": random.integers(1, 2**40, shape).astype(np.uint64),
    }
    # Healthy peculiarities: biases begin at zero, one-hot labels are mostly zero.
    for i, series in enumerate(header.series):
        if series.kind is Kind.WEIGHT and series.tensor == "bias":
            statistics["n_zero"][:1, i] = n[i]
        if series.kind is Kind.LABEL:
            statistics["n_zero"][:, i] = n[i] * 2 // 3
        if series.kind is Kind.METRIC:
            statistics["mean"][:, i] = np.minimum(0.4 + np.arange(n_rows) / 100, 0.95)
    return statistics


def _n_elements(series: Series) -> int:
    count = 1
    for length in series.shape:
        count *= BATCH if length is None else length
    return count
