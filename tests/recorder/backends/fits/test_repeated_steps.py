"""Steps of JAX that are looked into by repeating them."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from deeplocalize.recorder import Recorder
from deeplocalize.recorder.schedule import every
from deeplocalize.traces import open_trace

from .builders import BACKEND, X, assert_same, build, fit


@pytest.mark.skipif(BACKEND != "jax", reason="XLA compiles the steps of JAX's")
def test_a_step_that_prints_is_not_repeated_and_what_is_missing_is_listed(
    tmp_path: Path, capfd: Any
) -> None:
    import jax

    def show(x: Any) -> Any:
        jax.debug.print("seen")
        return x * 1.0

    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Lambda(show), keras.layers.Dense(3, name="out")]
    )
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    fit(model, Recorder(tmp_path / "run.h5"))
    jax.effects_barrier()
    assert capfd.readouterr().out.count("seen") == 4
    with open_trace(tmp_path / "run.h5") as trace:
        kinds = {str(series.kind) for series in trace.header.series}
        missing = {str(one.kind) for one in trace.header.unrecorded}
    assert {"input", "weight", "weight_update", "metric"} <= kinds
    assert {"output", "output_gradient", "weight_gradient"} <= missing


@pytest.mark.skipif(BACKEND != "jax", reason="only there, looking into a step repeats it")
@pytest.mark.parametrize("options", [{"schedule": every(4)}, {"budget": 1e-6}])
def test_steps_that_are_not_due_are_not_repeated(
    options: dict[str, Any], tmp_path: Path, monkeypatch: Any
) -> None:
    from deeplocalize.recorder.backends.jax_replay import Replay

    n_repeated = 0
    original = Replay.__call__

    def count(*arguments: Any) -> None:
        nonlocal n_repeated
        n_repeated += 1
        original(*arguments)

    monkeypatch.setattr(Replay, "__call__", count)
    model, plain = build(), build()
    history = fit(model, Recorder(tmp_path / "run.h5", **options), epochs=2)
    assert history == fit(plain, epochs=2)
    assert_same(model, plain)
    fit(build(), Recorder(tmp_path / "all.h5"), epochs=2)
    due = [0, 4] if "schedule" in options else [0]
    with open_trace(tmp_path / "run.h5") as trace, open_trace(tmp_path / "all.h5") as everything:
        assert sorted(set(trace.statistics()["iteration"])) == due
        np.testing.assert_allclose(
            trace.iterations["loss"], everything.iterations["loss"], rtol=1e-4
        )
    assert n_repeated == len(due) + 8


@pytest.mark.skipif(BACKEND != "jax", reason="only there, looking into a step repeats it")
@pytest.mark.parametrize("run_eagerly", [False, True])
def test_a_budget_counts_what_looking_into_a_step_takes_and_not_the_step(
    run_eagerly: bool, tmp_path: Path, monkeypatch: Any
) -> None:
    from deeplocalize.recorder.backends import jax as backend
    from deeplocalize.recorder.backends.jax_replay import Replay

    class Clock:
        now = 0.0

        def perf_counter(self) -> float:
            return self.now

    clock, spent, tapped, look = Clock(), [], backend._tapped_step, Replay.__call__

    def tapped_slow(model: Any, placed: Any, session: Any, step: Any) -> Any:
        def slow(*arguments: Any) -> Any:
            clock.now += 1000
            return step(*arguments)

        return tapped(model, placed, session, slow)

    def look_slowly(*arguments: Any) -> None:
        clock.now += 7
        look(*arguments)

    monkeypatch.setattr(backend, "time", clock)
    monkeypatch.setattr(backend, "_tapped_step", tapped_slow)
    monkeypatch.setattr(Replay, "__call__", look_slowly)
    monkeypatch.setattr(
        "deeplocalize.recorder.budget.Budget.spend", lambda _, seconds: spent.append(seconds)
    )
    fit(build(run_eagerly=run_eagerly), Recorder(tmp_path / "run.h5"))
    by_this_clock = [seconds for seconds in spent if seconds % 1 == 0]
    assert by_this_clock == [0 if run_eagerly else 7] * 4


@pytest.mark.skipif(BACKEND != "jax", reason="only there, looking into a step repeats it")
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_step_that_breaks_is_looked_into_though_it_is_not_due(
    activation: str, tmp_path: Path
) -> None:
    x = X.copy()
    x[60, 2] = np.nan
    model, plain = build(activation), build(activation)
    history = fit(model, Recorder(tmp_path / "run.h5", schedule=every(1000)), x=x)
    assert repr(history) == repr(fit(plain, x=x))
    assert_same(model, plain)
    with open_trace(tmp_path / "run.h5") as trace:
        assert sorted(set(trace.statistics()["iteration"])) == [0, 2]
        hidden = trace.statistics(kind="output", layer="hidden")
        assert list(hidden["n_nan"]) == [0, 8]
