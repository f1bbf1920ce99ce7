"""Steps that wait within TensorFlow under a budget, which leaves some of them out."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from deeplocalize.recorder import Recorder
from deeplocalize.recorder.thinning import Thinning
from deeplocalize.traces import open_trace
from deeplocalize.traces.schema import ITERATIONS

from ..models import CASES, LABELS, VECTORS
from .queued import Takes, fitted

tensorflow_waiting = pytest.importorskip("deeplocalize.recorder.backends.tensorflow_waiting")


@pytest.mark.parametrize("ring", [{}, {"ring_iterations": 1}, {"ring_bytes": 0}])
@pytest.mark.parametrize("policy", ["float32", "float64", "mixed_bfloat16"])
def test_a_step_that_a_budget_left_out_is_measured_in_full_where_it_breaks(
    policy: str, ring: dict[str, int], tmp_path: Path, takes: Takes
) -> None:
    x = VECTORS.astype("float64" if policy == "float64" else "float32")
    x[73, 2] = np.inf
    for name, options in [("all.h5", {}), ("few.h5", {"budget": 1e-6})]:
        keras.utils.clear_session()  # names of layers begin anew
        keras.config.set_dtype_policy(policy)
        fitted(tmp_path / name, x, **options, **ring)
    assert sum(takes) == 60
    with open_trace(tmp_path / "few.h5") as few, open_trace(tmp_path / "all.h5") as everything:
        found, expected = few.statistics(), everything.statistics()
        assert few.n_iterations == everything.n_iterations == 30
        assert list(found["iteration"].unique()) == [0, 7]
        expected = expected[expected["iteration"].isin([0, 7])].reset_index(drop=True)
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
        np.testing.assert_array_equal(few.iterations["loss"], everything.iterations["loss"])
        if ring.get("ring_bytes") != 0:
            assert np.isinf(few.tensor(7, kind="input")).any()
            assert set(few.tensors["iteration"]) == {7}


@pytest.mark.parametrize("ring", [{}, {"ring_iterations": 3}, {"ring_bytes": 0}])
def test_of_a_step_that_a_budget_left_out_there_is_all_but_statistics(
    ring: dict[str, int], tmp_path: Path, takes: Takes
) -> None:
    for name, options in [("all.h5", {}), ("few.h5", {"budget": 1e-6})]:
        fitted(tmp_path / name, VECTORS[:95], **options, **ring)  # the last batch is smaller
    assert max(takes) > 1
    with open_trace(tmp_path / "few.h5") as few, open_trace(tmp_path / "all.h5") as everything:
        assert list(few.statistics()["iteration"].unique()) == [0]
        columns = [column.name for column in ITERATIONS if column.name != "time_s"]
        found, expected = few.iterations[columns], everything.iterations[columns]
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
        assert few.iterations["time_s"].is_monotonic_increasing
        assert set(found["n_samples"]) == {10, 5}


def test_no_tensors_stay_in_memory_of_steps_that_a_budget_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_held: list[tuple[int, int]] = []
    numbers = tensorflow_waiting.WaitingSteps.numbers

    def noted(self: Any, steps: slice) -> Iterator[Any]:
        before = np.count_nonzero(self._tensors[steps])
        yield from numbers(self, steps)
        n_held.append((int(before), int(np.count_nonzero(self._tensors[steps]))))

    monkeypatch.setattr(tensorflow_waiting.WaitingSteps, "numbers", noted)
    fitted(tmp_path / "run.h5", budget=1e-6)
    assert n_held
    assert all(before > 0 and after == 0 for before, after in n_held)


def test_of_a_loss_for_each_sample_that_of_the_first_is_noted(tmp_path: Path) -> None:
    class Model(keras.Model):
        def compute_loss(self, *given: Any, **_: Any) -> Any:
            return keras.losses.sparse_categorical_crossentropy(*given[1:3])

    runs: dict[str, dict[str, Any]] = {"all": {}, "few": {"budget": 1e-6}}
    for name, options in runs.items():
        keras.utils.set_random_seed(7)
        inputs = keras.Input(VECTORS.shape[1:])
        model = Model(inputs, keras.layers.Dense(3, "softmax")(inputs))
        model.compile("adam", jit_compile=False)
        recorder = Recorder(tmp_path / f"{name}.h5", **options)
        model.fit(VECTORS, LABELS % 3, 10, epochs=2, shuffle=False, verbose=0, callbacks=[recorder])
    with open_trace(tmp_path / "few.h5") as few, open_trace(tmp_path / "all.h5") as everything:
        assert list(few.statistics()["iteration"].unique()) == [0]
        np.testing.assert_array_equal(few.iterations["loss"], everything.iterations["loss"])
        assert few.iterations["loss"].notna().all()


@pytest.mark.parametrize("ring", [{}, {"ring_bytes": 0}])
def test_a_step_of_many_groups_and_parts_is_left_out_whole_or_measured_whole(
    ring: dict[str, int], tmp_path: Path, operations: list[str]
) -> None:
    x = VECTORS.copy()
    x[73, 2] = np.nan
    fitted(tmp_path / "all.h5", x, **ring)
    assert operations.count("DeeplocalizeMeasure") >= 3
    keras.utils.clear_session()
    fitted(tmp_path / "few.h5", x, budget=1e-6, **ring)
    with open_trace(tmp_path / "few.h5") as few, open_trace(tmp_path / "all.h5") as everything:
        found, expected = few.statistics(), everything.statistics()
    assert list(found["iteration"].unique()) == [0, 7]
    expected = expected[expected["iteration"].isin([0, 7])].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_steps_are_measured_again_once_the_budget_allows(
    tmp_path: Path, takes: Takes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def n_to_measure(n_takes: int) -> int:
        return (100, 2, 0)[n_takes % 3]

    def choose(self: Thinning) -> None:
        self.n_to_measure = n_to_measure(len(takes))

    monkeypatch.setattr(Thinning, "choose", choose)
    fitted(tmp_path / "run.h5", budget=0.5)
    expected = itertools.chain.from_iterable(
        [j < n_to_measure(k) for j in range(n_steps)] for k, n_steps in enumerate(takes)
    )
    with open_trace(tmp_path / "run.h5") as trace:
        found = trace.statistics()["iteration"].unique().tolist()
    assert found == np.flatnonzero(list(expected)).tolist()
    assert 1 < len(found) < 30


def test_what_only_a_metric_shows_is_recorded_though_the_budget_left_it_out(
    tmp_path: Path, takes: Takes
) -> None:
    def broken(y: Any, p: Any) -> Any:
        return keras.ops.where(keras.ops.any(y == 2), np.inf, 0.0)

    case, y = CASES["mlp"], LABELS % 2
    y[73] = 2
    model = case.build()
    model.compile("adam", case.loss(), metrics=[broken], jit_compile=False)
    recorder = Recorder(tmp_path / "run.h5", budget=1e-6)
    model.fit(VECTORS, y, batch_size=10, shuffle=False, epochs=3, verbose=0, callbacks=[recorder])
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.n_iterations == 30
        assert list(trace.statistics()["iteration"].unique()) == [0, 7]
        assert np.isinf(trace.tensor(7, kind="metric", tensor="broken")).all()
    assert max(takes) > 1  # what is broken already is not looked at any more


def test_what_a_later_layer_contains_is_no_break_to_a_budget(tmp_path: Path) -> None:
    x = np.abs(VECTORS) + 0.1
    x[73, 2] = -1.0
    found = {}
    runs: dict[str, dict[str, Any]] = {"all": {}, "few": {"budget": 1e-6}}
    for name, options in runs.items():
        model = keras.Sequential(
            [
                keras.Input(x.shape[1:]),
                keras.layers.Lambda(keras.ops.log),
                keras.layers.Lambda(lambda v: keras.ops.where(keras.ops.isnan(v), 0.0, v)),
                keras.layers.Dense(3, "softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
        recorder = Recorder(tmp_path / f"{name}.h5", **options)
        model.fit(x, LABELS % 3, batch_size=10, shuffle=False, verbose=0, callbacks=[recorder])
        with open_trace(tmp_path / f"{name}.h5") as trace:
            found[name] = list(trace.statistics()["iteration"].unique())
            if name == "all":
                outputs = trace.statistics(layer=0, kind="output").set_index("iteration")
                assert outputs["n_nan"].to_dict()[7] == 1
    assert found == {"all": list(range(10)), "few": [0]}
