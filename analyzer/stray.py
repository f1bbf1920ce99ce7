"""A lone finite value far from all others, in a run that stays finite and does not learn.

Nothing breaks there, so that there is no moment to look around: the whole run is searched. What
breaks is looked at in `outlier.py`.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from deeplocalize.traces.interface import TraceReader
from deeplocalize.traces.scan import scan

from .chunks import rows_per_chunk
from .outlier import (
    BLOWN_UP,
    MIN_OTHERS,
    OUTLYING,
    Outlier,
    blows_up,
    fed,
    largest_of,
    outlier_at,
    read_around,
)
from .window import row_of

# Powers of two without any batch between a lone value and all others: of values without a mean,
# those of Cauchy, the largest is as far from the next one in about one data set of 500.
GAP = 1 + math.ceil(math.log2(OUTLYING))

_NONE = np.iinfo(np.int32).min  # no power of two: of a batch of zeros, or that is not finite


@dataclass
class _Size:
    """Batches whose largest magnitude has the same power of two, and how many an epoch has."""

    first: int
    epochs: Counter[int] = field(default_factory=Counter)


def find_stray(reader: TraceReader) -> Outlier | None:
    """The first value that is far from those of all other batches and did harm; None without one.

    An epoch brings it once at most, so that it is one row. Harm is that its step made a kernel
    `BLOWN_UP` times as large, or that the loss of its batch is as far above that of others, or of
    those before.
    """
    found = [
        outlier_at(reader.header, read_around(reader, row_of(reader, at)), i, at)
        for i, sizes in _sizes(reader).items()
        if (at := _lone(sizes)) is not None
    ]
    harmful = [one for one in found if not math.isnan(one.usual) and _has_harmed(reader, one)]
    return min(harmful, key=lambda one: (one.iteration, one.place.position), default=None)


def _sizes(reader: TraceReader) -> Mapping[int, Mapping[int, _Size]]:
    """By series of what was fed, and by power of two, the batches that come to it."""
    header = reader.header
    sizes: dict[int, dict[int, _Size]] = {i: {} for i in fed(header)}
    for block in scan(reader, ("n", "min", "max"), rows_per_chunk(len(header.series))):
        at = np.searchsorted(block.iterations["iteration"], block.recorded)
        epochs = block.iterations["epoch"][at]
        for i, known in sizes.items():
            largest = largest_of(block, i)
            powers = np.where(largest > 0, np.frexp(largest)[1], _NONE)
            for power in set(powers.tolist()) - {_NONE}:
                rows = np.flatnonzero(powers == power)
                size = known.setdefault(power, _Size(int(block.recorded[rows[0]])))
                size.epochs.update(epochs[rows].tolist())
    return sizes


def _lone(sizes: Mapping[int, _Size]) -> int | None:
    """Where the batches above the first gap begin, if they are no more than one an epoch."""
    powers = sorted(sizes, reverse=True)
    n = sum(size.epochs.total() for size in sizes.values())
    firsts = []
    above: Counter[int] = Counter()
    for power, below in pairwise(powers):
        firsts.append(sizes[power].first)
        above.update(sizes[power].epochs)
        if max(above.values()) > 1:
            return None
        if power - below >= GAP:
            n_above = above.total()
            return min(firsts) if n - n_above >= max(MIN_OTHERS, n_above) else None
    return None


def _has_harmed(reader: TraceReader, outlier: Outlier) -> bool:
    block = read_around(reader, row_of(reader, outlier.iteration))
    if blows_up(reader.header, block, outlier):
        return True
    iterations, losses = block.iterations["iteration"], np.abs(block.iterations["loss"])
    # After a step that threw the weights over, large losses are usual.
    others = (losses[iterations < outlier.iteration], losses[iterations != outlier.iteration])
    usual = min((np.median(o[np.isfinite(o)]) for o in others if np.isfinite(o).any()), default=0)
    return bool(usual > 0 and (losses[iterations == outlier.iteration] > BLOWN_UP * usual).any())
