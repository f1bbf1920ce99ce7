"""Replays a trace in chunks and folds them into evidence, in memory that its length does not move.

`evidence_of` and `merge_evidence` are the whole of it: threads or a cluster run the same two
functions over other chunks and fold the results in order.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from deeplocalize.traces.header import Header
from deeplocalize.traces.interface import TraceReader
from deeplocalize.traces.schema import STATISTICS, Kind
from deeplocalize.traces.table import Block

from .certain import count_replays, without_uncertain
from .curve import EMPTY, Curve, gather_curve, merge_curves
from .evidence import Runs, gather, merge, no_runs, only_counted
from .rules import RULES
from .rules.rule import Rule, Symptom
from .rules.view import Values
from .watch import Watch, baseline, views, watches

Progress = Callable[[int, int], None]

CHUNK_BYTES = 16 * 2**20
BASELINE_ROWS = 64

_NONFINITE_COLUMNS = ("n_nan", "n_posinf", "n_neginf")
_COLUMNS = tuple(column.name for column in STATISTICS if column.name != "checksum")
_FINITE_COLUMNS = tuple(name for name in _COLUMNS if name not in _NONFINITE_COLUMNS)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a stretch of iterations shows.

    ``runs`` has one entry per watch; ``loss`` is the curve of the batches' losses, ``metrics``
    one curve per series of kind metric. ``n_recorded`` counts iterations with statistics,
    ``n_replayed`` those whose step was replayed, and ``n_exact`` those where every check passed.
    """

    n_iterations: int
    n_recorded: int
    runs: tuple[Runs, ...]
    loss: Curve
    metrics: Mapping[int, Curve]
    n_replayed: int = 0
    n_exact: int = 0


@dataclass(frozen=True, eq=False)
class Replay:
    """The evidence of a whole trace, and what it was gathered with."""

    header: Header
    watches: tuple[Watch, ...]
    evidence: Evidence


def replay(
    reader: TraceReader,
    progress: Progress | None = None,
    rules: Sequence[Rule] = RULES,
    chunk_bytes: int = CHUNK_BYTES,
    earlier: Replay | None = None,
) -> Replay:
    """Gather the evidence of a whole trace.

    Parameters
    ----------
    progress
        Called after each chunk with the iterations done and their total.
    chunk_bytes
        Size of the statistics held in memory at a time; at least one row is.
    earlier
        What a replay of the same trace with the same rules gave when it was shorter: only the
        rows since are read, if the earlier ones would be judged as they were.
    """
    header = reader.header
    chosen = watches(header, rules)
    total = reader.n_iterations
    head = reader.read(0, min(BASELINE_ROWS, total), ("n", "rms"))
    base = baseline(header, without_uncertain(header, head))
    begin, evidence = 0, no_evidence(header, chosen)
    if earlier is not None and _is_continued(earlier, header):
        begin, evidence = earlier.evidence.n_iterations, earlier.evidence
    n_rows = rows_per_chunk(len(header.series), chunk_bytes)
    for start in range(begin, total, n_rows):
        stop = min(start + n_rows, total)
        flagged = bool(reader.iterations(start, stop)["n_nonfinite_series"].any())
        block = reader.read(start, stop, _COLUMNS if flagged else _FINITE_COLUMNS)
        evidence = merge_evidence(chosen, evidence, evidence_of(header, chosen, base, block))
        if progress is not None:
            progress(stop, total)
    return Replay(header, chosen, evidence)


def _is_continued(earlier: Replay, header: Header) -> bool:
    """Whether the rules watch the same series, relative to the same first iterations."""
    is_same = earlier.header.series == header.series and earlier.header.layers == header.layers
    return is_same and earlier.evidence.n_iterations >= BASELINE_ROWS


def rows_per_chunk(n_series: int, chunk_bytes: int) -> int:
    """Iterations whose statistics fit into the given number of bytes; at least one."""
    row_bytes = max(n_series, 1) * sum(
        column.numpy_dtype.itemsize for column in STATISTICS if column.name in _COLUMNS
    )
    return max(1, chunk_bytes // row_bytes)


def no_evidence(header: Header, chosen: Sequence[Watch]) -> Evidence:
    """The evidence of no iterations: merging it changes nothing."""
    metrics = {i: EMPTY for i, series in enumerate(header.series) if series.kind is Kind.METRIC}
    return Evidence(0, 0, tuple(no_runs(len(w.series)) for w in chosen), EMPTY, metrics)


def evidence_of(
    header: Header, chosen: Sequence[Watch], baseline_rms: Values, block: Block
) -> Evidence:
    """The evidence of one chunk.

    A block without the columns that count non-finite elements is one that has none.
    """
    is_finite = _NONFINITE_COLUMNS[0] not in block.statistics
    n_replayed, n_exact = count_replays(header, block)
    block = without_uncertain(header, block)
    with np.errstate(all="ignore"):
        runs = tuple(
            only_counted(watch.rule.applicable(view).sum(axis=0, dtype=np.int64))
            if is_finite and watch.rule.symptom is Symptom.NON_FINITE
            else gather(
                watch.rule.condition(view, watch.rule.threshold),
                watch.rule.applicable(view),
                watch.rule.measure(view),
                block.recorded,
                watch.rule.patience,
            )
            for watch, view in zip(chosen, views(header, chosen, baseline_rms, block), strict=True)
        )
    return Evidence(
        n_iterations=len(block.iterations),
        n_recorded=len(block.recorded),
        runs=runs,
        loss=gather_curve(block.iterations["iteration"], block.iterations["loss"]),
        metrics={
            i: gather_curve(block.recorded, block.statistics["mean"][:, i])
            for i, series in enumerate(header.series)
            if series.kind is Kind.METRIC
        },
        n_replayed=n_replayed,
        n_exact=n_exact,
    )


def merge_evidence(chosen: Sequence[Watch], a: Evidence, b: Evidence) -> Evidence:
    """The evidence of two neighbouring chunks, ``a`` before ``b``."""
    return Evidence(
        n_iterations=a.n_iterations + b.n_iterations,
        n_recorded=a.n_recorded + b.n_recorded,
        runs=tuple(
            merge(x, y, watch.rule.patience)
            for watch, x, y in zip(chosen, a.runs, b.runs, strict=True)
        ),
        loss=merge_curves(a.loss, b.loss),
        metrics={i: merge_curves(curve, b.metrics[i]) for i, curve in a.metrics.items()},
        n_replayed=a.n_replayed + b.n_replayed,
        n_exact=a.n_exact + b.n_exact,
    )
