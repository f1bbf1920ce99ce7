"""What the guilty samples of a failing batch look like: in the tensor at fault and in the data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplocalize.traces.header import Header
from deeplocalize.traces.interface import TensorEntry, TraceReader
from deeplocalize.traces.schema import Kind

from .guilty import kept_samples, n_nonfinite
from .localization import FirstFault
from .places import Place, place_of

MAX_ELEMENTS = 5
MAX_VALUES = 8


@dataclass(frozen=True)
class Element:
    """One non-finite element of a sample, and the input element at the same place, if any."""

    index: tuple[int, ...]
    value: float
    input_value: float | None


@dataclass(frozen=True)
class Excerpt:
    """What a sample looks like in an input or a label: its first values and its range."""

    name: str
    shape: tuple[int, ...]
    values: tuple[float, ...]
    min: float
    max: float
    n_zero: int
    n_nonfinite: int


@dataclass(frozen=True)
class Sample:
    """A sample by its place in the batch, and how it is at fault."""

    index: int
    n_nonfinite: int
    elements: tuple[Element, ...]
    excerpts: tuple[Excerpt, ...]


@dataclass(frozen=True)
class GuiltySamples:
    """The samples at fault; ``n_guilty`` of ``n_samples`` are, the first few are described."""

    iteration: int
    place: Place
    n_guilty: int
    n_samples: int
    samples: tuple[Sample, ...]


def guilty_samples(reader: TraceReader, fault: FirstFault | None) -> GuiltySamples | None:
    """The samples at fault, with what they hold; None where none is known."""
    if fault is None or fault.rows is None:
        return None
    rows = fault.rows
    entries = kept_samples(reader, fault.moment.iteration)
    values = reader.read_tensor(entries[rows.place.series])
    counts = n_nonfinite(values)
    data = _data(reader, reader.header, entries, len(values))
    samples = tuple(
        Sample(
            i,
            int(counts[i]),
            _elements(values[i], [array[i] for array in data.values()]),
            tuple(_excerpt(name, array[i]) for name, array in data.items()),
        )
        for i in rows.rows
    )
    return GuiltySamples(fault.moment.iteration, rows.place, rows.n_guilty, rows.n_samples, samples)


def _data(
    reader: TraceReader, header: Header, entries: Mapping[int, TensorEntry], n_samples: int
) -> dict[str, NDArray[Any]]:
    """Inputs and labels of the batch by name, as many samples as the tensor at fault has."""
    found = {}
    for series, entry in entries.items():
        if header.series[series].kind in (Kind.INPUT, Kind.LABEL, Kind.SAMPLE_WEIGHT):
            values = reader.read_tensor(entry)
            if values.ndim and len(values) == n_samples and values.dtype.kind in "fiub":
                found[place_of(header, series).noun] = values
    return found


def _elements(row: NDArray[Any], inputs: Sequence[NDArray[Any]]) -> tuple[Element, ...]:
    places = np.argwhere(~np.isfinite(row))[:MAX_ELEMENTS]
    like = next((array for array in inputs if array.shape == row.shape), None)
    return tuple(
        Element(
            index=tuple(map(int, place)),
            value=float(np.real(row[tuple(place)])),
            input_value=None if like is None else float(like[tuple(place)]),
        )
        for place in places
    )


def _excerpt(name: str, values: NDArray[Any]) -> Excerpt:
    flat = np.asarray(values, dtype=np.float64).ravel()
    finite = flat[np.isfinite(flat)]
    return Excerpt(
        name=name,
        shape=values.shape,
        values=tuple(flat[:MAX_VALUES].tolist()),
        min=float(finite.min()) if finite.size else float("nan"),
        max=float(finite.max()) if finite.size else float("nan"),
        n_zero=int((flat == 0).sum()),
        n_nonfinite=int(flat.size - finite.size),
    )
