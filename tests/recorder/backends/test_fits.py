"""However a fit ends, nothing of the recorder stays, on the framework that Keras runs on here.

``KERAS_BACKEND=jax pytest tests/recorder/backends/test_fits.py`` is the same for another framework.
"""

import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras.src.layers.layer import Layer

from deeplocalize.recorder import Recorder
from deeplocalize.recorder.backends import backend_of
from deeplocalize.recorder.schedule import every
from deeplocalize.traces import open_trace

BACKEND = keras.backend.backend()
X = np.random.default_rng(0).standard_normal((100, 4)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 100)


def build(activation: str = "relu", **options: Any) -> Any:
    keras.utils.set_random_seed(7)
    layers = [
        keras.layers.Dense(8, activation=activation, name="hidden"),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(3, activation="softmax", name="out"),
    ]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile("adam", "sparse_categorical_crossentropy", **options)
    return model


def fit(model: Any, *callbacks: Any, x: Any = X, **kwargs: Any) -> Any:
    arguments = {"batch_size": 25, "shuffle": False, "verbose": 0, **kwargs}
    return model.fit(x, Y, callbacks=list(callbacks), **arguments).history


def weights(model: Any) -> list[Any]:
    variables = [*model.variables, *model.optimizer.variables]
    return [keras.ops.convert_to_numpy(v) for v in variables]


def assert_same(model: Any, other: Any) -> None:
    for a, b in zip(weights(model), weights(other), strict=True):
        np.testing.assert_array_equal(a, b)


def assert_untouched(model: Any) -> None:
    for name in ("train_step", "compute_loss", "stateless_call", "_make_function"):
        assert name not in model.__dict__
    for name in ("apply", "stateless_apply"):
        assert name not in model.optimizer.__dict__
    assert "deeplocalize" not in getattr(model.train_function, "__module__", "")
    assert Layer.__call__.__qualname__.startswith("Layer.")
    for layer in model.layers:
        activation = layer.__dict__.get("activation")
        assert activation is None or not hasattr(activation, "__wrapped__")


class Raise(keras.callbacks.Callback):
    """Raises in one of Keras's hooks."""

    def __init__(self, error: type[BaseException], hook: str) -> None:
        super().__init__()
        self.error = error
        setattr(self, hook, self.act)

    def act(self, index: int = 0, logs: Any = None) -> None:
        if index == 1:
            raise self.error("broken")


def test_fits_with_and_without_a_recorder_may_follow_each_other(tmp_path: Path) -> None:
    model = build()
    recorder = Recorder(tmp_path / "run.h5")
    histories = [fit(model, recorder), fit(model), fit(model, recorder)]
    plain = build()
    assert histories == [fit(plain) for _ in range(3)]
    assert_same(model, plain)
    assert_untouched(model)
    for path in (tmp_path / "run.h5", recorder.path):
        with open_trace(path) as trace:
            assert trace.ended == {"status": "completed"}
            assert trace.n_iterations == 4


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_epoch_end"])
@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "exception"), (KeyboardInterrupt, "interrupted")]
)
def test_an_exception_in_a_callback_closes_the_trace(
    error: type[BaseException], status: str, hook: str, tmp_path: Path
) -> None:
    model = build()
    with pytest.raises(error):
        fit(model, Recorder(tmp_path / "run.h5"), Raise(error, hook), epochs=3)
    assert_untouched(model)
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.ended == {"status": status}
        assert trace.n_iterations == (2 if hook == "on_train_batch_end" else 8)


def test_an_exception_from_the_data_closes_the_trace(tmp_path: Path) -> None:
    class Data(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> Any:
            if index == 2:
                raise ValueError("broken")
            return X[:25], Y[:25]

    model = build()
    with pytest.raises(Exception, match="broken"):
        recorder = Recorder(tmp_path / "run.h5")
        model.fit(Data(), verbose=0, shuffle=False, callbacks=[recorder])
    assert_untouched(model)
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.ended == {"status": "exception"}


def test_a_fit_after_an_interrupted_one_is_not_recorded_into_its_trace(tmp_path: Path) -> None:
    model = build()
    stop = Raise(KeyboardInterrupt, "on_train_batch_end")
    with pytest.raises(KeyboardInterrupt):
        fit(model, Recorder(tmp_path / "run.h5"), stop)
    fit(model)
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.n_iterations == 2


def broken(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("a defect of ours")


@pytest.mark.parametrize(
    "where",
    [
        "step_recording.StepRecording.record",
        "session.Session.plan",
        "keras_model.describe_layers",
        f"backends.{BACKEND}.attach",
        f"backends.{BACKEND}_patches.StepPatches._add_call",
        f"backends.{BACKEND}_patches.StepPatches._add_output_gradients",
        f"backends.{BACKEND}_patches.StepPatches._add_weight_gradients",
    ],
)
@pytest.mark.parametrize("run_eagerly", [False, True])
def test_a_recorder_that_fails_warns_once_and_training_ends_as_without_it(
    run_eagerly: bool, where: str, tmp_path: Path, monkeypatch: Any
) -> None:
    plain = build(run_eagerly=run_eagerly)
    expected = fit(plain)
    monkeypatch.setattr(f"deeplocalize.recorder.{where}", broken)
    model = build(run_eagerly=run_eagerly)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = fit(model, Recorder(tmp_path / "run.h5"))
    assert len([w for w in caught if "deeplocalize" in str(w.message)]) == 1
    assert history == expected
    assert_same(model, plain)
    assert_untouched(model)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_nan_is_found_in_the_iteration_and_tensor_where_it_appears(
    activation: str, tmp_path: Path
) -> None:
    x = X.copy()
    x[60, 2] = np.nan
    model = build(activation)
    history = fit(model, Recorder(tmp_path / "run.h5"), x=x)
    plain = build(activation)
    assert repr(history) == repr(fit(plain, x=x))
    assert_same(model, plain)
    with open_trace(tmp_path / "run.h5") as trace:
        found = trace.iterations["n_nonfinite_series"].to_numpy()
        assert list(found[:2]) == [0, 0]
        assert found[2] > 0
        inputs = trace.statistics(kind="input")
        assert list(inputs["n_nan"]) == [0, 0, 1, 0]
        hidden = trace.statistics(kind="output", layer="hidden")
        # TensorFlow's fused kernel with relu may turn NaN into 0.
        if (BACKEND, activation) != ("tensorflow", "relu"):
            assert list(hidden["n_nan"])[:3] == [0, 0, 8]


def test_a_framework_without_a_backend_is_refused_by_name(monkeypatch: Any) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "openvino")
    with pytest.raises(NotImplementedError, match="openvino"):
        backend_of(build_without_framework())


def build_without_framework() -> Any:
    return object()


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
    monkeypatch.setattr("deeplocalize.recorder.session.Session.spend", lambda _, s: spent.append(s))
    fit(build(run_eagerly=run_eagerly), Recorder(tmp_path / "run.h5"))
    assert spent == [0 if run_eagerly else 7] * 4


@pytest.mark.skipif(BACKEND == "tensorflow", reason="there, replays add something")
def test_where_replays_add_nothing_it_is_told_once_in_the_trace_and_to_the_person(
    tmp_path: Path,
) -> None:
    model = build()
    with pytest.warns(RuntimeWarning, match="exact=True adds nothing") as caught:
        fit(model, Recorder(tmp_path / "run.h5", exact=True))
    assert len([w for w in caught if "deeplocalize" in str(w.message)]) == 1
    plain = build()  # only now: dropout draws from PyTorch's one generator
    fit(plain)
    assert_same(model, plain)
    with open_trace(tmp_path / "run.h5") as trace:
        notes = [event.message for event in trace.reader.events() if event.name == "note"]
        assert notes == [trace.header.schedule["exact"]]
        assert notes[0].startswith("exact=True adds nothing to this recording: ")
        assert trace.n_iterations == 4


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


def test_a_loop_of_train_on_batch_is_recorded(tmp_path: Path) -> None:
    def train(model: Any) -> list[Any]:
        return [model.train_on_batch(X[i : i + 25], Y[i : i + 25]) for i in range(0, 100, 25)]

    model = build()
    with Recorder(tmp_path / "run.h5").recording(model):
        found = train(model)
    plain = build()  # only now: dropout draws from PyTorch's one generator
    expected = train(plain)
    assert repr(found) == repr(expected)
    assert_same(model, plain)
    assert_untouched(model)
    with open_trace(tmp_path / "run.h5") as trace:
        np.testing.assert_allclose(
            trace.iterations["loss"], np.array(expected, np.float64), rtol=1e-5
        )
        assert len(trace.statistics(kind="output", layer="hidden")) == 4


@pytest.mark.skipif(BACKEND != "torch", reason="only PyTorch changes tensors in place")
def test_an_output_that_is_overwritten_is_listed_as_missing(tmp_path: Path) -> None:
    import torch

    class InPlace(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return torch.relu_(x)

    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(8, name="hidden"), InPlace(), keras.layers.Dense(3)]
    )
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    fit(model, Recorder(tmp_path / "run.h5"))
    with open_trace(tmp_path / "run.h5") as trace:
        missing = [
            trace.header.layers[one.layer].name
            for one in trace.header.unrecorded
            if one.layer is not None and "in place" in one.reason
        ]
    assert missing == ["hidden"]
