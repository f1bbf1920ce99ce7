"""How far what a replay recorded can be relied on.

A recorder that replays steps checks each replay against its step. One that differs has computed
something close to the step, or, say with other random numbers, something else: it is no
evidence of anything, except where the step itself broke. There it shows where that may have
begun, which is better than nothing, and is said to be uncertain.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deeplocalize.traces.header import Header
from deeplocalize.traces.schema import Kind
from deeplocalize.traces.table import Block, Table

# Where one of these is not finite, the step is broken whatever a replay says.
_DECISIVE = (Kind.LOSS, Kind.WEIGHT, Kind.WEIGHT_GRADIENT, Kind.WEIGHT_UPDATE, Kind.STATE)
_NONFINITE_COLUMNS = ("n_nan", "n_posinf", "n_neginf")

Flags = NDArray[np.bool_]


def replayed_series(header: Header) -> tuple[int, ...]:
    """The series that only replays recorded."""
    return tuple(
        i
        for i, series in enumerate(header.series)
        if series.replayed and series.kind is not Kind.REPLAY_ERROR
    )


def are_exact(header: Header, block: Block, series: int) -> Flags:
    """In which recorded rows a replayed series is what the step computed; shape (rows,)."""
    layer = header.series[series].layer
    checks = [i for i in _checks(header) if header.series[i].layer in (None, layer)]
    _, are_exact = _replayed(block, checks)
    return are_exact


def count_replays(header: Header, block: Block) -> tuple[int, int]:
    """How many recorded rows were replayed, and in how many of them all checks passed."""
    are_replayed, are_exact = _replayed(block, _checks(header))
    return int(are_replayed.sum()), int(are_exact.sum())


def without_uncertain(header: Header, block: Block) -> Block:
    """The block as if replays that are no evidence had not been recorded.

    Parameters
    ----------
    block
        With at least the columns ``n`` and ``rms``. Without those that count non-finite
        elements it is one that has none.
    """
    series = replayed_series(header)
    if not series:
        return block
    are_usable = _is_broken(header, block)
    cleared = np.zeros(block.statistics.shape, bool)
    for i in series:
        is_recorded = block.statistics["n"][:, i] >= 0
        cleared[:, i] = is_recorded & ~are_usable & ~are_exact(header, block, i)
    if not cleared.any():
        return block
    columns = {
        column.name: np.where(
            cleared, column.numpy_dtype.type(column.missing or 0), block.statistics[column.name]
        )
        for column in block.statistics.schema
        if column.name in block.statistics
    }
    return Block(block.iterations, block.recorded, Table(block.statistics.schema, columns))


def _checks(header: Header) -> list[int]:
    return [i for i, s in enumerate(header.series) if s.kind is Kind.REPLAY_ERROR]


def _replayed(block: Block, checks: Sequence[int]) -> tuple[Flags, Flags]:
    """Which recorded rows were replayed, and in which of them each of these checks passed."""
    is_checked = block.statistics["n"][:, checks] >= 0
    has_failed = is_checked & (block.statistics["rms"][:, checks] != 0)
    are_replayed = is_checked.any(axis=1)
    return np.asarray(are_replayed), np.asarray(are_replayed & ~has_failed.any(axis=1))


def _is_broken(header: Header, block: Block) -> Flags:
    if any(name not in block.statistics for name in _NONFINITE_COLUMNS):
        return np.zeros(len(block.recorded), bool)
    index = [i for i, s in enumerate(header.series) if s.kind in _DECISIVE and not s.replayed]
    counts = np.array([block.statistics[name][:, index] for name in _NONFINITE_COLUMNS])
    return np.asarray(counts.any(axis=(0, 2)))
