"""The samples of the failing batch that turned a tensor non-finite, where it was stored in full."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplocalize.traces.header import Header
from deeplocalize.traces.interface import TensorEntry, TraceReader
from deeplocalize.traces.schema import Kind

from .diagnosis import Diagnosis
from .places import Place, place_of
from .rules.rule import Symptom

MAX_SAMPLES = 8
MAX_ELEMENTS = 5
MAX_VALUES = 8

# Kinds whose first axis is the sample.
_PER_SAMPLE = (
    Kind.INPUT,
    Kind.LABEL,
    Kind.SAMPLE_WEIGHT,
    Kind.PREACTIVATION,
    Kind.OUTPUT,
    Kind.OUTPUT_GRADIENT,
    Kind.PREACTIVATION_GRADIENT,
)


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


def guilty_samples(reader: TraceReader, diagnosis: Diagnosis) -> GuiltySamples | None:
    """The samples whose rows of the first non-finite tensor are not finite.

    None where the fault is no non-finite value, or no tensor of that iteration was stored in
    full.
    """
    fault = diagnosis.first_fault
    if fault is None or fault.symptom is not Symptom.NON_FINITE:
        return None
    header = reader.header
    entries = {
        entry.series: entry
        for entry in reader.tensor_entries()
        if entry.iteration == fault.moment.iteration
        and header.series[entry.series].kind in _PER_SAMPLE
    }
    for series in _candidates(header, entries, fault.place.series):
        values = reader.read_tensor(entries[series])
        if not values.ndim or not np.issubdtype(values.dtype, np.inexact):
            continue
        counts = (~np.isfinite(values)).reshape(len(values), -1).sum(axis=1)
        guilty = np.flatnonzero(counts)
        if not len(guilty):
            continue
        data = _data(reader, header, entries, len(values))
        samples = tuple(
            Sample(
                int(i),
                int(counts[i]),
                _elements(values[i], [array[i] for array in data.values()]),
                tuple(_excerpt(name, array[i]) for name, array in data.items()),
            )
            for i in guilty[:MAX_SAMPLES]
        )
        place = place_of(header, series)
        return GuiltySamples(fault.moment.iteration, place, len(guilty), len(values), samples)
    return None


def _candidates(header: Header, entries: Mapping[int, TensorEntry], first: int) -> Sequence[int]:
    """The tensor at fault, then those after it in the order of the step."""
    ordered = sorted(entries, key=lambda i: header.series[i].position)
    return [first, *(i for i in ordered if i != first)] if first in entries else ordered


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
