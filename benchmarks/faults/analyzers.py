"""Who is judged: ours, and baselines that know nothing or little."""

import time
from collections.abc import Callable, Iterator

import numpy as np

from deeplocalize.analyzer import analyze
from deeplocalize.traces import Kind, open_trace
from deeplocalize.traces.schema import NONFINITE
from deeplocalize.traces.trace import Trace

from .judge import Guess, Opinion

N_UNCHANGED = 10


def ours(path: str) -> Opinion:
    """The analyzer of this repository."""
    start = time.perf_counter()
    diagnosis = analyze(path)
    guesses = tuple(
        Guess(
            str(suspect.cause), suspect.layer.index if suspect.layer else None, suspect.confidence
        )
        for suspect in diagnosis.suspects
    )
    return Opinion(str(diagnosis.verdict), guesses, time.perf_counter() - start)


def always_the_last_layer(path: str) -> Opinion:
    """Without a look at the run: the last layer's activation is wrong."""
    with open_trace(path) as trace:
        last = max(layer.index for layer in trace.reader.header.layers)
    causes = ("output_activation", "loss_function", "output_shape")
    return Opinion("faulty", tuple(Guess(cause, last) for cause in causes))


def non_finite_only(path: str) -> Opinion:
    """The layer of the first NaN or infinity is numerically unstable; else all is well."""
    with open_trace(path) as trace:
        reader = trace.reader
        flagged = np.flatnonzero(reader.iterations()["n_nonfinite_series"] > 0)
        if not len(flagged):
            return Opinion("healthy")
        row = int(flagged[0])
        statistics = reader.read(row, row + 1, NONFINITE).statistics
        counts = sum(statistics[name][0] for name in NONFINITE)
        header = reader.header
        first = min(np.flatnonzero(counts), key=lambda i: header.series[i].position)
        layer = header.layer_of(header.series[first])
    if layer is None:
        return Opinion("faulty", (Guess("input_values", None), Guess("learning_rate", None)))
    return Opinion(
        "faulty",
        (Guess("numerical_instability", layer.index), Guess("learning_rate", None)),
    )


def original(path: str) -> Opinion:
    """A model of the published tool: signed means of each layer's tensors, in order of execution.

    The first mean that is not finite, that is zero, or that does not change over
    `N_UNCHANGED` iterations is the fault, and its layer is to blame.
    """
    with open_trace(path) as trace:
        found = min(_alarms(trace), default=None)
        if found is None:
            return Opinion("healthy")
        _, _, index = found
        series = trace.reader.header.series[index]
        layer = trace.reader.header.layer_of(series)
        is_last = layer is not None and layer.index == max(
            other.index for other in trace.reader.header.layers
        )
    if layer is None:
        return Opinion("faulty", (Guess("loss_function", None),))
    if series.kind is Kind.WEIGHT_GRADIENT:
        return Opinion("faulty", (Guess("learning_rate", None),))
    cause = "output_activation" if is_last else "hidden_activation"
    return Opinion("faulty", (Guess(cause, layer.index),))


def _alarms(trace: Trace) -> Iterator[tuple[int, int, int]]:
    """First alarm of each series: (row, position, index)."""
    header, block = trace.reader.header, trace.reader.read(0, None, ("n", "n_nan", "mean"))
    watched = (Kind.PREACTIVATION, Kind.OUTPUT, Kind.LOSS, Kind.WEIGHT_GRADIENT)
    for i, series in enumerate(header.series):
        if series.kind not in watched:
            continue
        mean = block.statistics["mean"][:, i]
        recorded = block.statistics["n"][:, i] > 0
        is_bad = recorded & (~np.isfinite(mean) | (mean == 0))
        is_bad |= recorded & (block.statistics["n_nan"][:, i] > 0)
        same = np.isclose(mean[1:], mean[:-1], rtol=1e-5, atol=0)
        run = np.convolve(same, np.ones(N_UNCHANGED), "valid") >= N_UNCHANGED
        is_bad[N_UNCHANGED : N_UNCHANGED + len(run)] |= run
        rows = np.flatnonzero(is_bad)
        if len(rows):
            yield int(rows[0]), series.position, i


ANALYZERS: dict[str, Callable[[str], Opinion]] = {
    "deeplocalize": ours,
    "the original's rules": original,
    "always the last layer": always_the_last_layer,
    "non-finite only": non_finite_only,
}
