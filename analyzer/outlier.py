"""A finite value among inputs or targets that is far out of line, and what its step did.

One such value is multiplied into gradients and weights, so that what breaks is a layer, a loss or
an update: none of them says where it came from.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from deeplocalize.traces.header import Header
from deeplocalize.traces.interface import TraceReader
from deeplocalize.traces.schema import Kind
from deeplocalize.traces.table import Block

from .operation import largest_finite
from .places import Place, place_of
from .rules.rule import Symptom
from .window import row_of

# What one absurd value can do.
CONSEQUENCES = frozenset({Symptom.NON_FINITE, Symptom.EXPLODING_GRADIENT, Symptom.DEAD_UNITS})

# Largest magnitude of a batch, relative to the median of that of others, from which it is out of
# line. Three orders of magnitude: of batches of normal values none, and even where tails are those
# of Cauchy (no variance, no mean) 1 - 2**(-1/1000), one batch in 1400.
OUTLYING = 1e3

# Fewer other batches do not show what is usual by themselves: the square of what is out of line
# has to be beyond the range of its type, too.
MIN_OTHERS = 4

# Where there is none to compare a batch with, its largest magnitude relative to its mean one:
# normal values come to 6, a lone value to their number.
LONE = 100.0

# The same where there are some that it exceeds by far: in a small batch, too, a lone value comes to
# the number of values.
PROMINENT = 5.0

# Iterations on either side to compare with; what is further back harmed nothing for as long.
N_AROUND = 32

# As far is looked where hardly any of them was recorded.
FARTHEST = 64 * N_AROUND

# Factor by which no usual step makes the rms of a kernel larger.
BLOWN_UP = 10.0

# Iterations after which a value that is in no weight has no effect any more: in its own it breaks
# values, gradients or the update, in the next what its update did to the weights.
MAX_LAG = 1

# Up to this factor, two values are of about the same size.
ABOUT = 2.0

_COLUMNS = ("n", "min", "max", "mean_abs", "rms")
_FED = (Kind.INPUT, Kind.LABEL, Kind.SAMPLE_WEIGHT)


@dataclass(frozen=True)
class Outlier:
    """A batch whose largest magnitude is out of line.

    ``usual`` and ``usual_rms`` are medians over the ``n_others`` batches around it; NaN where it is
    not out of line with these, where they are 0, or where there are none. ``lag`` is by how many
    iterations the fault came later; ``was_survived`` tells that one of about that size was fed
    before and did no harm.
    """

    place: Place
    iteration: int
    lag: int
    largest: float
    rms: float
    mean_abs: float
    usual: float
    usual_rms: float
    n_others: int
    was_survived: bool = False

    def __str__(self) -> str:
        return f"{self.place} {self.statement}"

    @property
    def statement(self) -> str:
        """The predicate to the place as subject."""
        reached = f"reaches {self.largest:.3g} in iteration {self.iteration}"
        if math.isnan(self.usual):
            return (
                f"{reached}, while its mean magnitude is {self.mean_abs:.3g}: the square of that "
                "is beyond the range of its type"
            )
        others = f"the median of the {self.n_others} other iterations around it"
        if self.n_others == 1:
            others = "as in the other iteration that was recorded around it"
        return (
            f"{reached}, {self.largest / self.usual:.2g} times what is usual: {self.usual:.3g}, "
            f"{others} (rms {self.rms:.3g} instead of {self.usual_rms:.3g})"
        )


def find_outlier(reader: TraceReader, fault_at: int) -> Outlier | None:
    """The first outlier that may have caused a fault; None without one.

    It is in the faulty iteration or the one before; or, up to `N_AROUND` before, in one whose step
    blew up some kernel (`BLOWN_UP`).

    Parameters
    ----------
    fault_at
        The fault's iteration.
    """
    block = read_around(reader, row_of(reader, fault_at))
    found = [
        replace(one, lag=fault_at - one.iteration)
        for i in fed(reader.header)
        for at in _outlying(reader.header, block, i)
        if block.recorded[at] <= fault_at
        for one in (outlier_at(reader.header, block, i, int(block.recorded[at])),)
    ]
    harmful = [one for one in found if one.lag <= MAX_LAG or blows_up(reader.header, block, one)]
    first = min(harmful, key=lambda one: (one.iteration, one.place.position), default=None)
    if first is None:
        return None
    harmless = [one for one in found if one.place == first.place and one not in harmful]
    return replace(
        first, was_survived=any(ABOUT * one.largest >= first.largest for one in harmless)
    )


def read_around(reader: TraceReader, row: int) -> Block:
    """The iterations around a row; further ones, too, where a budget has left too few of them."""
    reach = N_AROUND
    while True:
        start, stop = max(row - reach, 0), min(row + 1 + reach, reader.n_iterations)
        block = reader.read(start, stop, _COLUMNS)
        is_all = stop - start == reader.n_iterations
        if len(block.recorded) > MIN_OTHERS or is_all or reach >= FARTHEST:
            return block
        reach *= 4


def fed(header: Header) -> Sequence[int]:
    """Series of what a step is fed and computes with; tokens are looked up, however large."""
    is_embedding = any(layer.class_name == "Embedding" for layer in header.layers)
    return [
        i
        for i, series in enumerate(header.series)
        if series.kind in _FED
        and not (is_embedding and series.kind is Kind.INPUT and "int" in series.dtype)
    ]


def _outlying(header: Header, block: Block, series: int) -> Sequence[int]:
    """Rows of a block in which a series is out of line."""
    largest = largest_of(block, series)
    rows = np.flatnonzero(np.isfinite(largest)).tolist()
    if len(rows) > MIN_OTHERS:
        return [at for at in rows if _is_unusual(largest, at)]
    dtype = header.series[series].dtype
    if dtype == "float16":
        return []  # whose squares leave the range of what inputs may well be
    limit = math.sqrt(largest_finite(dtype))
    mean_abs = block.statistics["mean_abs"][:, series]
    return [
        at
        for at in rows
        if largest[at] > limit
        and (
            largest[at] > LONE * mean_abs[at]
            or (largest[at] > PROMINENT * mean_abs[at] and _exceeds_all(largest, at, limit))
        )
    ]


def outlier_at(header: Header, block: Block, series: int, iteration: int) -> Outlier:
    """What a series reaches in an iteration, beside the others of a block."""
    at = int(np.searchsorted(block.recorded, iteration))
    largest = largest_of(block, series)
    rms, mean_abs = (block.statistics[name][:, series] for name in ("rms", "mean_abs"))
    n_others = int(np.isfinite(largest).sum()) - 1
    is_compared = _is_unusual(largest, at)
    return Outlier(
        place=place_of(header, series),
        iteration=iteration,
        lag=0,
        largest=float(largest[at]),
        rms=float(rms[at]),
        mean_abs=float(mean_abs[at]),
        usual=_usual(largest, at) if is_compared else math.nan,
        usual_rms=_usual(rms, at) if is_compared else math.nan,
        n_others=n_others,
    )


def blows_up(header: Header, block: Block, outlier: Outlier) -> bool:
    """Whether the outlier's step made some kernel larger than a usual one does."""
    at = int(np.searchsorted(block.recorded, outlier.iteration))
    if at + 1 >= len(block.recorded):
        return False
    # Biases start at zero, so that any step multiplies them.
    weights = [
        i for i, s in enumerate(header.series) if s.kind is Kind.WEIGHT and len(s.shape) >= 2
    ]
    before, after = block.statistics["rms"][at : at + 2, weights]
    return bool((after >= BLOWN_UP * before)[before > 0].any())


def largest_of(block: Block, series: int) -> NDArray[np.float64]:
    """The largest finite magnitude in each row; NaN where there is none."""
    low, high = (block.statistics[name][:, series] for name in ("min", "max"))
    is_recorded = block.statistics["n"][:, series] > 0
    largest = np.fmax(np.abs(low), np.abs(high)).astype(np.float64)
    return np.where(is_recorded, largest, np.nan)


def _exceeds_all(largest: NDArray[np.float64], at: int, limit: float) -> bool:
    """Whether a row is out of line with each of the others, which are within a limit."""
    others = _others(largest, at)
    return bool(others.size and others.max() < min(limit, largest[at] / OUTLYING))


def _is_unusual(largest: NDArray[np.float64], at: int) -> bool:
    """Whether a row is out of line with the others, if there are any."""
    return bool(largest[at] > OUTLYING * _usual(largest, at) > 0)


def _usual(values: NDArray[np.float64], at: int) -> float:
    """The median of the other rows; NaN without any."""
    others = _others(values, at)
    return float(np.median(others)) if others.size else math.nan


def _others(values: NDArray[np.float64], at: int) -> NDArray[np.float64]:
    others = np.delete(values, at)
    return others[np.isfinite(others)]
