"""How much is recorded: schedules, budget, size limit, full tensors and the ring."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from deeplocalize.analyzer import analyze
from deeplocalize.recorder import Recorder
from deeplocalize.recorder.budget import Budget
from deeplocalize.recorder.ring import Ring
from deeplocalize.recorder.schedule import every, first, powers_of_two
from deeplocalize.recorder.step_values import StepValues
from deeplocalize.traces import Kind, Trace, open_trace

from .models import CASES


def train(
    path: Path, x: Any = None, epochs: int = 2, run_eagerly: bool = False, **options: Any
) -> Any:
    """Ten batches of ten an epoch, in order."""
    case = CASES["mlp"]
    keras.utils.set_random_seed(7)
    model = case.build()
    model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=run_eagerly)
    x = case.x if x is None else x
    callbacks = [Recorder(path, **options)]
    model.fit(
        x, case.labels, batch_size=10, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks
    )
    return model


def recorded(trace: Trace, **selection: Any) -> list[int]:
    """Iterations with statistics of a selection of series."""
    return sorted(set(trace.statistics(**selection)["iteration"].tolist()))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (every(6), [0, 6, 12, 18]),
        (first(3), [0, 1, 2]),
        (powers_of_two, [0, 1, 2, 4, 8, 16]),
        (lambda iteration: iteration == 5, [5]),
    ],
)
def test_statistics_are_taken_when_the_schedule_says_so(
    schedule: Callable[[int], bool], expected: list[int], tmp_path: Path
) -> None:
    train(tmp_path / "run.h5", schedule=schedule)
    with open_trace(tmp_path / "run.h5") as trace:
        assert recorded(trace) == expected
        assert trace.n_iterations == 20
        assert trace.iterations["loss"].notna().all()


def test_schedules_may_differ_by_kind_and_layer(tmp_path: Path) -> None:
    schedule = {"weight*": every(10), "hid*": every(5), "Dense": every(2)}
    train(tmp_path / "run.h5", schedule=schedule)
    with open_trace(tmp_path / "run.h5") as trace:
        assert recorded(trace, kind="weight_gradient") == [0, 10]
        assert recorded(trace, layer="hidden", kind="output") == [0, 5, 10, 15]
        assert recorded(trace, layer="out", kind="output") == list(range(0, 20, 2))
        assert recorded(trace, kind="input") == list(range(20))


def test_a_pattern_that_matches_nothing_is_told_once(tmp_path: Path) -> None:
    schedule = {"hiden": every(10), "Dense": every(2), "metric": every(5), "?": every(3)}
    with pytest.warns(RuntimeWarning, match="schedule") as caught:
        train(tmp_path / "run.h5", schedule=schedule)
    expected = "schedule: no layer, kind or class matches 'hiden' (did you mean 'hidden'?), '?'"
    assert [str(w.message) for w in caught] == [f"deeplocalize: {expected}"]
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.header.schedule["unmatched"] == ["hiden", "?"]
        notes = [event.message for event in trace.reader.events() if event.name == "note"]
        assert notes == [expected]
        assert trace.n_iterations == 20
        assert recorded(trace, layer="hidden", kind="output") == list(range(0, 20, 2))


def test_an_iteration_that_breaks_is_recorded_whatever_the_schedule(tmp_path: Path) -> None:
    x = CASES["mlp"].x.copy()
    x[73, 2] = np.inf
    train(tmp_path / "run.h5", x, epochs=1, schedule=every(1000))
    with open_trace(tmp_path / "run.h5") as trace:
        assert recorded(trace) == [0, 7]
        statistics = trace.reader.read(7, 8).statistics
        n_nonfinite = sum(statistics[c][0] for c in ("n_nan", "n_posinf", "n_neginf"))
        kinds = {trace.header.series[k].kind for k in np.flatnonzero(n_nonfinite)}
        assert {Kind.INPUT, Kind.OUTPUT, Kind.LOSS, Kind.WEIGHT_GRADIENT} <= kinds


def test_the_ring_keeps_the_iterations_before_something_breaks(tmp_path: Path) -> None:
    x = CASES["mlp"].x.copy()
    x[73, 2] = np.inf
    train(tmp_path / "run.h5", x, epochs=1)
    with open_trace(tmp_path / "run.h5") as trace:
        assert sorted(set(trace.tensors["iteration"])) == list(range(8))
        output = trace.tensor(7, layer="hidden")
        assert np.flatnonzero(~np.isfinite(output).all(axis=1)).tolist() == [3]
        np.testing.assert_array_equal(trace.tensor(7, kind="input"), x[70:80])
        weights = [trace.tensor(i, layer="out", kind="weight", tensor="kernel") for i in (5, 6)]
        update = trace.tensor(5, layer="out", kind="weight_update", tensor="kernel")
        np.testing.assert_array_equal(weights[1] - weights[0], update)


@pytest.mark.parametrize("run_eagerly", [False, True])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "tensors of iterations 0 to 7 are kept in full"),
        ({"ring_iterations": 1}, "its tensors are kept in full"),
        ({"ring_iterations": 0}, "no tensors are kept in full: the ring is switched off"),
        (
            {"ring_bytes": 100},
            "no tensors are kept in full: a step before it, or it, takes more than ring_bytes=100",
        ),
        ({"trigger": lambda i, loss: i == 7}, "tensors of iterations 0 to 7 are kept in full"),
        ({"budget": 1.0}, "its tensors are kept in full"),
        (
            {"budget": 1.0, "trigger": lambda i, loss: i == 7},
            "tensors of iterations 0 to 7 are kept in full",
        ),
        ({"tensors": every(7), "ring_bytes": 0}, "its tensors are kept in full"),
    ],
)
def test_the_trace_says_what_is_kept_of_the_iteration_that_breaks(
    options: dict[str, Any], told: str, run_eagerly: bool, tmp_path: Path
) -> None:
    x = CASES["mlp"].x.copy()
    x[73, 2] = np.inf
    train(tmp_path / "run.h5", x, 2, run_eagerly, **options)
    with open_trace(tmp_path / "run.h5") as trace:
        notes = [event.message for event in trace.reader.events() if event.name == "anomaly"]
        is_kept = 7 in set(trace.tensors["iteration"])
    assert notes == [f"not finite for the first time at iteration 7; {told}"]
    assert is_kept == (not told.startswith("no"))


def test_a_trigger_without_a_ring_is_told_to_have_no_effect(tmp_path: Path) -> None:
    with pytest.warns(RuntimeWarning, match="trigger has nothing to store") as warned:
        train(tmp_path / "run.h5", CASES["mlp"].x, 2, ring_bytes=0, trigger=lambda i, loss: True)
    assert len(warned) == 1
    with open_trace(tmp_path / "run.h5") as trace:
        notes = [event.message for event in trace.reader.events() if event.name == "note"]
        assert notes == ["trigger has nothing to store: the ring is switched off"]


@pytest.mark.parametrize("mode", [{}, {"jit_compile": True}, {"run_eagerly": True}])
def test_what_the_ring_holds_is_what_the_step_computed(
    mode: dict[str, Any], tmp_path: Path
) -> None:
    """Arrays are held without a copy: later steps must not write into them."""

    def build() -> Any:
        keras.utils.set_random_seed(7)
        model = CASES["batch_normalization"].build()
        model.compile("adam", CASES["batch_normalization"].loss(), **mode)
        return model

    case = CASES["batch_normalization"]
    arguments: dict[str, Any] = {"batch_size": 10, "shuffle": False, "verbose": 0}
    in_full = Recorder(tmp_path / "full.h5", tensors=lambda iteration: True)
    build().fit(case.x, case.labels, callbacks=[in_full], **arguments)
    in_ring = Recorder(
        tmp_path / "ring.h5", ring_iterations=10, trigger=lambda iteration, loss: iteration == 9
    )
    build().fit(case.x, case.labels, callbacks=[in_ring], **arguments)
    with open_trace(tmp_path / "full.h5") as full, open_trace(tmp_path / "ring.h5") as ring:
        entries = full.reader.tensor_entries()
        held = ring.reader.tensor_entries()
        assert len(held) == len(entries) > 0
        for one, other in zip(entries, held, strict=True):
            np.testing.assert_array_equal(
                full.reader.read_tensor(one), ring.reader.read_tensor(other)
            )


def test_the_ring_forgets_the_oldest_beyond_its_size() -> None:
    ring = Ring(max_bytes=1000)
    for i in range(10):
        ring.push(i, [0], StepValues([np.full(50, i, np.float64)], [None]))
    assert [tensor.iteration for tensor in ring.drain()] == [8, 9]
    assert ring.drain() == []
    ring.push(0, [0], StepValues([np.zeros(1000)], [None]))
    assert ring.drain() == []


def test_the_ring_holds_no_more_iterations_than_asked_for() -> None:
    ring = Ring(max_bytes=1000, max_iterations=3)
    for i in range(10):
        ring.push(i, [0], StepValues([np.full(2, i, np.float64)], [None]))
    assert [tensor.iteration for tensor in ring.drain()] == [7, 8, 9]


@pytest.mark.parametrize(("mib", "n_held"), [(0.01, 8), (5, 3), (20, 1), (40, 0)])
def test_the_ring_holds_what_fits_into_caches_and_one_iteration_at_least(
    mib: float, n_held: int
) -> None:
    ring = Ring(max_bytes=32 << 20)
    for i in range(10):
        ring.push(i, [0], StepValues([np.zeros(int(mib * (1 << 17)), np.float64)], [None]))
    assert ring.n_held(int(mib * (1 << 20))) == n_held
    assert [tensor.iteration for tensor in ring.drain()] == [*range(10)][10 - n_held :]


def test_an_iteration_that_is_larger_than_those_before_takes_the_place_of_the_oldest() -> None:
    ring = Ring(max_bytes=1 << 30)
    for i, mib in enumerate([1, 1, 1, 1, 1, 1, 1, 9, 8]):
        ring.push(i, [0], StepValues([np.zeros(mib << 17, np.float64)], [None]))
    assert [tensor.iteration for tensor in ring.drain()] == [8]
    for i, mib in enumerate([1, 1, 1, 1, 1, 1, 1, 9]):
        ring.push(i, [0], StepValues([np.zeros(mib << 17, np.float64)], [None]))
    assert [tensor.iteration for tensor in ring.drain()] == [*range(8)]


def test_recording_stops_with_a_note_when_the_trace_is_large_enough(tmp_path: Path) -> None:
    with pytest.warns(RuntimeWarning, match="reached 1000000 bytes") as caught:
        train(tmp_path / "run.h5", epochs=300, max_bytes=1_000_000)
    assert len(caught) == 1
    with open_trace(tmp_path / "run.h5") as trace:
        assert 0 < trace.n_iterations < 3000
        events = {event.name: event for event in trace.reader.events()}
        assert "1000000 bytes" in events["limit"].message
        assert trace.ended == {"status": "completed"}


def test_a_budget_leaves_out_what_would_cost_more_than_its_share(tmp_path: Path) -> None:
    train(tmp_path / "run.h5", epochs=20, budget=1e-6)
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.n_iterations == 200
        assert recorded(trace) == [0, 61, 122, 183]


def test_a_budget_still_sees_what_breaks(tmp_path: Path) -> None:
    x = CASES["mlp"].x.copy()
    x[73, 2] = np.inf
    train(tmp_path / "run.h5", x, epochs=1, budget=1e-6)
    with open_trace(tmp_path / "run.h5") as trace:
        assert recorded(trace) == [0, 7]


class Clock:
    """Stands for the module `time`."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def perf_counter(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr("deeplocalize.recorder.budget.time", found)
    return found


def test_a_budget_is_a_share_of_what_the_training_takes_without_a_recorder() -> None:
    budget = Budget(0.25)  # of which a quarter is for what cannot be counted
    assert budget.left_s() == 0.0 and budget.allows()
    budget.elapse(16.0)
    assert budget.left_s() == 0.75 * 0.25 * 16.0
    budget.spend(6.0)
    assert budget.left_s() == 0.75 * 0.25 * 10.0 - 6.0 and not budget.allows()
    budget.elapse(22.0)
    assert budget.left_s() == 0.0 and budget.allows()


def test_what_is_spent_within_what_is_spent_counts_once(clock: Clock) -> None:
    budget = Budget(1.0)
    budget.spend(1.0)
    with budget.spending():
        budget.spend_beside(0.25)
        clock.now_s += 2.0
        with budget.spending():
            budget.spend(0.5)
            clock.now_s += 0.5
    assert budget.left_s() == -1.75 * (3.5 + 0.25)


def test_without_a_budget_everything_is_allowed() -> None:
    budget = Budget(None)
    budget.spend(1e9)
    assert budget.allows()


@pytest.mark.parametrize("where", ["schedule", "trigger", "tensors"])
def test_a_function_of_the_users_own_that_fails_is_shown_with_its_line(
    where: str, tmp_path: Path
) -> None:
    def failing(*arguments: Any) -> Any:
        return np.ones(3).reshape(2, 2)  # raises within NumPy

    line = failing.__code__.co_firstlineno + 1
    with pytest.warns(RuntimeWarning, match=rf"ValueError: .*, at .*test_volume.py:{line}\)"):
        train(tmp_path / "run.h5", None, 2, False, **{where: failing})


@pytest.mark.parametrize("share", [0, -1, 1.5])
def test_a_budget_that_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        Budget(share)


def test_a_report_does_not_promise_tensors_that_a_trace_has_lost(tmp_path: Path) -> None:
    x = CASES["mlp"].x.copy()
    x[73, 2] = np.inf
    train(tmp_path / "run.parquet", x, epochs=1)
    kept = "tensors of iterations 0 to 7 are kept in full"
    assert analyze(tmp_path / "run.parquet").run.notes[0].endswith(kept)
    for part in (tmp_path / "run.parquet" / "tensors").iterdir():
        part.unlink()
    lost = f"{kept}; those from iteration 0 on are missing from this trace"
    assert analyze(tmp_path / "run.parquet").run.notes[0].endswith(lost)
