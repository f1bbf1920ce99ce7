"""Replays a trace in chunks and folds them into evidence, in memory that its length does not move.

`evidence_of` and `merge_evidence` are the whole of it: threads or a cluster run the same two
functions over other chunks and fold the results in order.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from deeplocalize.traces.header import Header
from deeplocalize.traces.interface import TraceReader
from deeplocalize.traces.scan import scan
from deeplocalize.traces.schema import NONFINITE, Kind
from deeplocalize.traces.table import Block

from .certainty import count_replays, without_uncertain
from .chunks import CHUNK_BYTES, read_first, rows_per_chunk
from .curve import EMPTY, Curve, gather_curve, merge_curves
from .evidence import Runs, gather, merge, no_runs, only_counted
from .rules import RULES
from .rules.rule import Rule, Symptom
from .rules.view import COLUMNS, Values, View
from .strides import Counts, n_covered, no_rows, strides
from .watch import Watch, baseline, views, watches

Progress = Callable[[int, int], None]

BASELINE_ROWS = 64

# Iterations that a recorded one stands for at most, where a schedule leaves out the others: what
# `evidence.py` allows under the usual patience of 20.
MAX_STRIDE = 6

# So many different batches of an epoch, or half of them, tell what the data are like: chosen.
FEWEST_BATCHES = 8


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a stretch of iterations shows.

    ``runs`` has one entry per watch; ``loss`` is the curve of the batches' losses, ``metrics``
    one curve per series of kind metric. ``n_recorded`` counts iterations with statistics,
    ``n_covered`` those that they stand for, each for at most `MAX_STRIDE`, ``n_replayed`` those
    whose step was replayed, and ``n_exact`` those where every check passed. ``last_recorded`` has
    the last one of each series. ``batches`` are the places in their epochs of recorded iterations,
    at most `FEWEST_BATCHES`, and ``n_batches`` is how many an epoch has.
    """

    n_iterations: int
    n_recorded: int
    n_covered: int
    runs: tuple[Runs, ...]
    loss: Curve
    metrics: Mapping[int, Curve]
    last_recorded: Counts
    n_replayed: int = 0
    n_exact: int = 0
    batches: frozenset[int] = frozenset()
    n_batches: int = 0

    @property
    def has_few_batches(self) -> bool:
        """Whether so few different ones were recorded that they tell nothing of all the data.

        A schedule may meet the same ones in every epoch, and a budget leave the first alone.
        """
        return len(self.batches) < min(FEWEST_BATCHES, self.n_batches / 2)


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
    head = read_first(reader, BASELINE_ROWS, total, ("n", "rms"))
    base = baseline(header, without_uncertain(header, head))
    begin, evidence = 0, no_evidence(header, chosen)
    if earlier is not None and _is_continued(earlier, header):
        begin, evidence = earlier.evidence.n_iterations, earlier.evidence
    n_rows = rows_per_chunk(len(header.series), chunk_bytes)
    for block in scan(reader, COLUMNS, n_rows, begin, total):
        chunk = evidence_of(header, chosen, base, block, evidence.last_recorded)
        evidence = merge_evidence(chosen, evidence, chunk)
        if progress is not None:
            progress(evidence.n_iterations, total)
    return Replay(header, chosen, evidence)


def _is_continued(earlier: Replay, header: Header) -> bool:
    """Whether the rules watch the same series, relative to the same first iterations."""
    is_same = earlier.header.series == header.series and earlier.header.layers == header.layers
    return is_same and earlier.evidence.n_recorded >= BASELINE_ROWS


def no_evidence(header: Header, chosen: Sequence[Watch]) -> Evidence:
    """The evidence of no iterations: merging it changes nothing."""
    metrics = {i: EMPTY for i, series in enumerate(header.series) if series.kind is Kind.METRIC}
    runs = tuple(no_runs(len(watch.series)) for watch in chosen)
    return Evidence(0, 0, 0, runs, EMPTY, metrics, no_rows(len(header.series)))


def evidence_of(
    header: Header,
    chosen: Sequence[Watch],
    baseline_rms: Values,
    block: Block,
    last_recorded: Counts,
) -> Evidence:
    """The evidence of one chunk.

    A block without the columns that count non-finite elements is one that has none.
    ``last_recorded`` is that of everything before the chunk.
    """
    is_finite = NONFINITE[0] not in block.statistics
    n_replayed, n_exact = count_replays(header, block)
    block = without_uncertain(header, block)
    stride, last = strides(block.recorded, block.statistics["n"], last_recorded)
    batch = block.iterations["batch"]
    is_recorded = np.isin(block.iterations["iteration"], block.recorded)
    with np.errstate(all="ignore"):
        runs = tuple(
            _runs(watch, view, block.recorded, stride, is_finite)
            for watch, view in zip(chosen, views(header, chosen, baseline_rms, block), strict=True)
        )
    return Evidence(
        n_iterations=len(block.iterations),
        n_recorded=len(block.recorded),
        n_covered=n_covered(block.recorded, last_recorded, MAX_STRIDE),
        runs=runs,
        loss=gather_curve(block.iterations["iteration"], block.iterations["loss"]),
        metrics={
            i: gather_curve(block.recorded, block.statistics["mean"][:, i])
            for i, series in enumerate(header.series)
            if series.kind is Kind.METRIC
        },
        n_replayed=n_replayed,
        n_exact=n_exact,
        last_recorded=last,
        batches=frozenset(np.unique(batch[is_recorded])[:FEWEST_BATCHES].tolist()),
        n_batches=int(batch.max(initial=-1)) + 1,
    )


def _runs(watch: Watch, view: View, recorded: Counts, stride: Counts, is_finite: bool) -> Runs:
    rule = watch.rule
    counts = rule.applicable(view)
    own = stride if stride.shape[1] == 1 else stride[:, watch.series]
    if is_finite and rule.symptom is Symptom.NON_FINITE:
        return only_counted(counts, own, rule.patience)
    holds = rule.condition(view, rule.threshold) & counts
    if not holds.any():
        # Nothing to measure or to trace row by row: the common case, several times faster.
        return only_counted(counts, own, rule.patience)
    return gather(holds, counts, rule.measure(view), recorded, own, rule.patience)


def merge_evidence(chosen: Sequence[Watch], a: Evidence, b: Evidence) -> Evidence:
    """The evidence of two neighbouring chunks, ``a`` before ``b``."""
    return Evidence(
        n_iterations=a.n_iterations + b.n_iterations,
        n_recorded=a.n_recorded + b.n_recorded,
        n_covered=a.n_covered + b.n_covered,
        runs=tuple(
            merge(x, y, watch.rule.patience)
            for watch, x, y in zip(chosen, a.runs, b.runs, strict=True)
        ),
        loss=merge_curves(a.loss, b.loss),
        metrics={i: merge_curves(curve, b.metrics[i]) for i, curve in a.metrics.items()},
        n_replayed=a.n_replayed + b.n_replayed,
        n_exact=a.n_exact + b.n_exact,
        last_recorded=np.maximum(a.last_recorded, b.last_recorded),
        batches=frozenset(sorted(a.batches | b.batches)[:FEWEST_BATCHES]),
        n_batches=max(a.n_batches, b.n_batches),
    )
