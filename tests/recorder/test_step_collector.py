"""Tensors that come one by one, in steps of several forms."""

from pathlib import Path
from typing import Any

import numpy as np

from deeplocalize.recorder import LoopRecorder
from deeplocalize.traces import STATISTICS, Kind, open_trace
from deeplocalize.traces.statistics import statistics_row

N_ITERATIONS = 21


def loop(recorder: LoopRecorder, *, broken: int | None = None) -> list[dict[str, Any]]:
    """The tensors of iterations of two forms: in every third one there is a second output."""
    rng = np.random.default_rng(0)
    tapped = []
    for i in range(N_ITERATIONS):
        n_samples = 5 if i % 7 == 6 else 8  # the last batch of an epoch is smaller
        tensors: dict[str, Any] = {
            "input": rng.normal(size=(n_samples, 3)).astype("float32"),
            "weight": rng.normal(size=(3, 2)),
        }
        if i == broken:
            tensors["input"][2, 1] = np.nan
        if i % 3 == 2:
            tensors["output"] = rng.integers(0, 9, (n_samples, 2))
        recorder.begin_iteration(epoch=i // 7)
        for kind, values in tensors.items():
            recorder.tap(kind, values, None if kind == "input" else "layer", "")
        recorder.end_iteration(learning_rate=i / 10)
        tapped.append(tensors)
    return tapped


def test_steps_are_recorded_in_their_order_whatever_their_form(tmp_path: Path) -> None:
    with LoopRecorder(tmp_path / "run.h5") as recorder:
        tapped = loop(recorder)
    with open_trace(tmp_path / "run.h5") as trace:
        iterations = trace.iterations
        assert iterations["epoch"].tolist() == [i // 7 for i in range(N_ITERATIONS)]
        assert iterations["batch"].tolist() == [i % 7 for i in range(N_ITERATIONS)]
        assert iterations["n_samples"].tolist() == ([8] * 6 + [5]) * 3
        assert iterations["learning_rate"].tolist() == [i / 10 for i in range(N_ITERATIONS)]
        assert iterations["time_s"].is_monotonic_increasing
        for kind in ("input", "weight", "output"):
            expected = [(i, step[kind]) for i, step in enumerate(tapped) if kind in step]
            found = trace.statistics(kind=kind)
            assert found["iteration"].tolist() == [i for i, _ in expected]
            # (Units are counted of what a layer gives, which the reference does not know.)
            for column in [c.name for c in STATISTICS if "units" not in c.name]:
                reference = [statistics_row(values)[column] for _, values in expected]
                np.testing.assert_allclose(found[column], reference, rtol=2e-6, atol=1e-7)


def test_the_ring_has_the_steps_before_the_one_that_breaks(tmp_path: Path) -> None:
    with LoopRecorder(tmp_path / "run.h5") as recorder:
        tapped = loop(recorder, broken=12)
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.iterations["n_nonfinite_series"].tolist() == [int(i == 12) for i in range(21)]
        for i in range(5, 13):
            np.testing.assert_array_equal(trace.tensor(i, kind=Kind.INPUT), tapped[i]["input"])
