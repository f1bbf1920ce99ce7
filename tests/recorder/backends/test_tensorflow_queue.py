"""Steps that wait within TensorFlow: the trace is the one of steps handed over one by one."""

import gc
import threading
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from deeplocalize.recorder import Recorder
from deeplocalize.recorder.schedule import every
from deeplocalize.traces import Kind, open_trace

from ..models import CASES, FEATURES, LABELS, VECTORS, Case
from ..test_bit_identity import assert_same, unrecorded
from .queued import HUGE, Takes, assert_equal, fitted, one_by_one, trained

BACKENDS = "deeplocalize.recorder.backends"
tensorflow = pytest.importorskip(f"{BACKENDS}.tensorflow")
tensorflow_queue = pytest.importorskip(f"{BACKENDS}.tensorflow_queue")
tensorflow_waiting = pytest.importorskip(f"{BACKENDS}.tensorflow_waiting")
tensorflow_held = pytest.importorskip(f"{BACKENDS}.tensorflow_held")


@pytest.mark.parametrize(
    ("name", "mode"),
    [("mlp", "several_steps"), ("mlp", "xla"), ("cnn", "graph"), ("recurrent", "graph")],
)
def test_the_trace_is_that_of_steps_handed_over_one_by_one(
    name: str, mode: str, tmp_path: Path, takes: Takes
) -> None:
    def train(path: Path) -> Any:
        return trained(CASES[name], mode, path, tensors=every(3))

    assert_same(train(tmp_path / "queued.h5"), unrecorded(name, mode))
    assert sum(takes) == 8
    one_by_one(lambda: train(tmp_path / "single.h5"))
    assert sum(takes) == 8
    assert_equal(tmp_path / "queued.h5", tmp_path / "single.h5")


@pytest.mark.parametrize("policy", ["bfloat16", "mixed_float16", "float64"])
def test_every_floating_type_is_read(policy: str, tmp_path: Path, takes: Takes) -> None:
    x = VECTORS.astype("float64")
    x[:, 0] = HUGE if policy == "float64" else 0.0
    case = Case(
        lambda: keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(3)]),
        x if policy == "float64" else x.astype("float32"),
        policy=policy,
    )
    trained(case, "graph", tmp_path / "queued.h5")
    assert sum(takes) == 8
    one_by_one(lambda: trained(case, "graph", tmp_path / "single.h5"))
    assert_equal(tmp_path / "queued.h5", tmp_path / "single.h5")


@pytest.mark.parametrize("dtype", ["bool", "int32", "uint64"])
def test_every_type_of_input_is_read(dtype: str, tmp_path: Path, takes: Takes) -> None:
    def build() -> Any:
        cast = keras.layers.Lambda(lambda x: keras.ops.cast(x, "float32"), (FEATURES,))
        i = keras.Input((FEATURES,), dtype=dtype)
        return keras.Model(i, keras.layers.Dense(3)(cast(i)))

    case = Case(build, (VECTORS * 10).astype(dtype))
    trained(case, "graph", tmp_path / "queued.h5")
    assert sum(takes) == 8
    one_by_one(lambda: trained(case, "graph", tmp_path / "single.h5"))
    assert_equal(tmp_path / "queued.h5", tmp_path / "single.h5")


def test_several_steps_are_taken_at_once(
    tmp_path: Path, takes: Takes, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted(tmp_path / "run.h5")
    assert sum(takes) == 30
    assert max(takes) > 1


def test_a_step_that_breaks_is_taken_at_once_with_those_before_it(
    tmp_path: Path, takes: Takes
) -> None:
    x = VECTORS.copy()
    x[73, 2] = np.nan
    fitted(tmp_path / "run.h5", x)
    with open_trace(tmp_path / "run.h5") as trace:
        kept = trace.tensor(7, kind="input")
        assert np.argwhere(np.isnan(kept)).tolist() == [[3, 2]]
        np.testing.assert_array_equal(trace.tensor(6, kind="input"), x[60:70])
        (event,) = (e for e in trace.reader.events() if e.name == "anomaly")
        assert event.iteration == 7
    assert 8 in np.cumsum(takes)


@pytest.mark.parametrize(
    "options",
    [
        {"trigger": lambda iteration, loss: False},
        {"exact": True},
        {"schedule": every(2)},
    ],
)
def test_no_step_waits_where_somebody_waits_for_it(
    options: dict[str, Any], tmp_path: Path, takes: Takes
) -> None:
    fitted(tmp_path / "run.h5", **options)
    assert takes == []
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.n_iterations == 30


def test_epochs_batches_and_times_are_those_of_the_step(tmp_path: Path) -> None:
    fitted(tmp_path / "run.h5")
    with open_trace(tmp_path / "run.h5") as trace:
        iterations = trace.iterations
    assert list(iterations["epoch"]) == [0] * 10 + [1] * 10 + [2] * 10
    assert list(iterations["batch"]) == list(range(10)) * 3
    assert (np.diff(iterations["time_s"]) > 0).all()


def test_without_the_interface_steps_are_handed_over_one_by_one(
    tmp_path: Path, takes: Takes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(session: Any) -> Any:
        raise tensorflow.MissingInterfaceError("no TF_GetInput")

    monkeypatch.setattr(tensorflow_queue, "StepQueue", missing)
    fitted(tmp_path / "run.h5")
    assert takes == []
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.n_iterations == 30


def test_an_interrupt_while_steps_are_taken_ends_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Any, *_: Any) -> Any:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(tensorflow_queue.Session, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "run.h5")
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.ended == {"status": "interrupted"}


def test_a_failing_recorder_leaves_no_step_waiting(
    tmp_path: Path, takes: Takes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: Any, *_: Any, **__: Any) -> Any:
        raise RuntimeError("no more memory")

    monkeypatch.setattr(tensorflow_waiting.WaitingSteps, "values", failing)
    with pytest.warns(RuntimeWarning, match="no more memory"):
        model = fitted(tmp_path / "run.h5")
    assert len(takes) == 1
    monkeypatch.undo()
    expected = one_by_one(lambda: fitted(tmp_path / "other.h5"))
    for one, other in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_array_keeps_the_tensors_of_its_step_in_memory(tmp_path: Path) -> None:
    released: list[int] = []
    gc.collect()  # those of other trainings
    with pytest.MonkeyPatch.context() as patch:
        let_go = tensorflow_held.HeldTensors.__del__

        def noted(self: Any) -> None:
            released.append(len(self))
            let_go(self)

        patch.setattr(tensorflow_held.HeldTensors, "__del__", noted)
        kept: list[Any] = []
        step = tensorflow_queue.Session.step

        def keeping(self: Any, plan: Any, values: Any, age_s: float) -> bool:
            if not kept:
                kept.append(values.tensors[plan.kinds.index(Kind.INPUT)])
            return bool(step(self, plan, values, age_s))

        patch.setattr(tensorflow_queue.Session, "step", keeping)
        fitted(tmp_path / "run.h5")
        assert len(released) == 29
        np.testing.assert_array_equal(kept[0], VECTORS[:10])
        assert not kept[0].flags.writeable
        kept.clear()
        assert len(released) == 30


def test_a_loop_that_compiles_its_model_anew_loses_no_step(tmp_path: Path, takes: Takes) -> None:
    case = CASES["mlp"]
    model = case.build()
    recorder = Recorder(tmp_path / "run.h5")
    model.compile("adam", case.loss(), jit_compile=False)
    with recorder.recording(model):
        for _ in range(2):
            for first in range(0, 50, 10):
                model.train_on_batch(VECTORS[first : first + 10], LABELS[first : first + 10])
            model.compile("sgd", case.loss(), jit_compile=False)
    assert sum(takes) == 10
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.n_iterations == 10


def test_another_thread_takes_steps_between_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues: list[Any] = []
    create = tensorflow_queue.StepQueue.__init__

    def noted(self: Any, session: Any) -> None:
        create(self, session)
        queues.append(self)

    monkeypatch.setattr(tensorflow_queue.StepQueue, "__init__", noted)
    is_over = threading.Event()

    def take() -> None:
        while not is_over.is_set():
            for queue in queues:
                queue.take()

    thread = threading.Thread(target=take)
    thread.start()
    try:
        fitted(tmp_path / "run.h5")
    finally:
        is_over.set()
        thread.join()
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.n_iterations == 30
        assert trace.ended == {"status": "completed"}


def test_nothing_waits_once_the_trace_is_full(tmp_path: Path, takes: Takes) -> None:
    with pytest.warns(RuntimeWarning, match="no more is recorded"):
        fitted(tmp_path / "run.h5", max_bytes=1)
    assert sum(takes) < 30
