"""Which tensors of the steps that wait within TensorFlow are held in memory, and for how long."""

import itertools
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from deeplocalize.recorder import Recorder
from deeplocalize.recorder.kernel import COLUMNS
from deeplocalize.recorder.schedule import every
from deeplocalize.traces import Kind, open_trace
from deeplocalize.traces.statistics import statistics_row

from ..models import CASES, LABELS, VECTORS
from .queued import HUGE, Takes, assert_equal, fitted, one_by_one, trained

BACKENDS = "deeplocalize.recorder.backends"
tensorflow_form = pytest.importorskip(f"{BACKENDS}.tensorflow_form")
tensorflow_queue = pytest.importorskip(f"{BACKENDS}.tensorflow_queue")
tensorflow_held = pytest.importorskip(f"{BACKENDS}.tensorflow_held")

CHECKSUM = COLUMNS.index("checksum")

Held = list[bool]


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    """Of every step whether all its tensors were held."""
    steps: Held = []
    create = tensorflow_held.HeldTensors.__init__

    def noted(self: Any, handles: Any) -> None:
        create(self, handles)
        steps.append(self.is_complete)

    monkeypatch.setattr(tensorflow_held.HeldTensors, "__init__", noted)
    return steps


@pytest.mark.parametrize("options", [{"ring_bytes": 1000}, {"ring_iterations": 0}])
@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "float64"])
@pytest.mark.parametrize("breaks", [False, True])
def test_tensors_that_nobody_would_keep_are_not_held_and_the_trace_is_the_same(
    options: dict[str, Any], policy: str, breaks: bool, tmp_path: Path, held: Held
) -> None:
    x = VECTORS.astype("float64")
    x[:, 0] = HUGE if policy == "float64" else 0
    if breaks:
        x[73, 2] = np.nan

    def train(path: Path) -> Any:
        keras.utils.clear_session()  # names of layers begin anew
        keras.config.set_dtype_policy(policy)
        return fitted(path, x, **options)

    train(tmp_path / "queued.h5")
    assert held == [False] * 30
    one_by_one(lambda: train(tmp_path / "single.h5"))
    assert_equal(tmp_path / "queued.h5", tmp_path / "single.h5")


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_tensors_are_held_together_with_their_own_statistics(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_compared = 0
    step = tensorflow_queue.Session.step

    def compared(self: Any, plan: Any, values: Any, age_s: float) -> bool:
        nonlocal n_compared
        for row, x, before in zip(values.rows, values.tensors, values.minus, strict=True):
            reference = statistics_row(x if before is None else x - before)
            assert row.view(np.uint64)[CHECKSUM] == reference["checksum"]
            n_compared += 1
        return bool(step(self, plan, values, age_s))

    monkeypatch.setattr(tensorflow_queue.Session, "step", compared)
    case = CASES[name]
    model = case.build()
    # Within one execution TensorFlow itself goes from step to step.
    model.compile("adam", case.loss(), jit_compile=False, steps_per_execution=8)
    recorder = Recorder(tmp_path / "run.h5", ring_iterations=1000)
    model.fit(case.x, LABELS, 4, epochs=4, verbose=0, callbacks=[recorder])
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.ended == {"status": "completed"}
        assert n_compared == trace.n_iterations * len(trace.header.series) > 0


@pytest.mark.parametrize(
    "options", [{"ring_iterations": 10}, {"ring_bytes": 0, "tensors": every(10)}]
)
def test_tensors_that_somebody_may_want_are_held(
    options: dict[str, Any], tmp_path: Path, held: Held
) -> None:
    fitted(tmp_path / "run.h5", **options)
    assert held == [True] * 30


def test_all_tensors_are_held_of_the_first_epoch_that_is_to_be_trained_on_again(
    tmp_path: Path, held: Held
) -> None:
    fitted(tmp_path / "run.h5", replayable=True, ring_bytes=0)
    assert held[:10] == [True] * 10
    assert not held[-1]


@pytest.mark.parametrize(
    ("options", "n_whole"),
    [({"ring_iterations": 1}, 0), ({"ring_iterations": 3}, 3), ({"ring_bytes": 0}, 0)],
)
def test_of_the_steps_that_wait_the_latest_hold_all_tensors(
    options: dict[str, Any], n_whole: int, tmp_path: Path, held: Held, takes: Takes
) -> None:
    fitted(tmp_path / "run.h5", **options)
    assert held == [k >= n - n_whole for n in takes for k in range(n)]
    assert not all(held)


def test_the_ring_is_that_of_steps_handed_over_one_by_one(tmp_path: Path, held: Held) -> None:
    x = VECTORS.copy()
    x[73, 2] = np.nan
    fitted(tmp_path / "queued.h5", x, ring_iterations=3)
    assert not all(held[:8])
    one_by_one(lambda: fitted(tmp_path / "single.h5", x, ring_iterations=3))
    assert_equal(tmp_path / "queued.h5", tmp_path / "single.h5")
    with open_trace(tmp_path / "queued.h5") as trace:
        assert {entry.iteration for entry in trace.reader.tensor_entries()} == {5, 6, 7}


def test_of_the_latest_step_alone_the_tensors_are_held_once_it_breaks(
    tmp_path: Path, held: Held
) -> None:
    x = VECTORS.copy()
    x[73, 2] = np.nan
    fitted(tmp_path / "run.h5", x, ring_iterations=1)
    assert held == [False] * 7 + [True] + [False] * 22


@pytest.mark.parametrize("n_iterations", [None, 0])
@pytest.mark.parametrize("name", ["mlp", "residual", "custom_step", "float16"])
def test_many_groups_and_parts_give_the_trace_of_steps_handed_over_one_by_one(
    name: str, n_iterations: int | None, tmp_path: Path, operations: list[str]
) -> None:
    def train(path: Path) -> Any:
        return trained(CASES[name], "graph", path, ring_iterations=n_iterations)

    train(tmp_path / "queued.h5")
    n_steps = operations.count(tensorflow_form.HAND_OVER)
    assert operations.count(tensorflow_form.MEASURE) == 3 * n_steps > 0
    assert operations.count(tensorflow_form.COLLECT) > 2 * n_steps
    one_by_one(lambda: train(tmp_path / "single.h5"))
    assert_equal(tmp_path / "queued.h5", tmp_path / "single.h5")


def test_tensors_without_elements_are_measured(tmp_path: Path, operations: list[str]) -> None:
    def train(path: Path) -> Any:
        keras.utils.clear_session()
        keras.utils.set_random_seed(7)
        inputs = [keras.Input((n,)) for n in (0, VECTORS.shape[1])]
        output = keras.layers.Dense(1)(keras.layers.Concatenate()(inputs))
        model = keras.Model(inputs, output)
        model.compile("sgd", "mse", jit_compile=False)
        x = [VECTORS[:, :0], VECTORS]
        model.fit(x, LABELS, 10, shuffle=False, verbose=0, callbacks=[Recorder(path)])

    train(tmp_path / "queued.h5")
    one_by_one(lambda: train(tmp_path / "single.h5"))
    assert_equal(tmp_path / "queued.h5", tmp_path / "single.h5")
    with open_trace(tmp_path / "queued.h5") as trace:
        first = trace.statistics(kind="input", tensor="0")
        assert first["n"].tolist() == [0] * trace.n_iterations
        assert first["mean"].isna().all()


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_tensor_that_is_two_series_is_measured_once(
    policy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layouts: list[Any] = []
    create = tensorflow_form.WaitingForm._laid_out

    def noted(self: Any) -> Any:
        layouts.append(create(self))
        return layouts[-1]

    monkeypatch.setattr(tensorflow_form.WaitingForm, "_laid_out", noted)
    inputs = keras.Input((VECTORS.shape[1],))
    keras.config.set_dtype_policy(policy)
    branches = [keras.layers.Dense(3, name=name)(inputs) for name in ("one", "other")]
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Add(name="add")(branches)))
    model.compile("sgd", "mse", jit_compile=False)
    model.fit(VECTORS, LABELS, 10, verbose=0, callbacks=[Recorder(tmp_path / "run.h5")])
    # The gradient by an Add's output is the one by each of its inputs.
    n_repeated = [(layout["source"] != np.arange(len(layout))).sum() for layout in layouts]
    assert n_repeated == [2]
    with open_trace(tmp_path / "run.h5") as trace:
        one, other, both = (
            trace.statistics(kind="output_gradient", layer=layer)["checksum"].tolist()
            for layer in ("one", "other", "add")
        )
        assert one == other == both
        assert len(one) == trace.n_iterations


def test_nothing_is_held_for_the_ring_once_something_has_broken(tmp_path: Path, held: Held) -> None:
    x = VECTORS.copy()
    x[73, 2] = np.nan
    fitted(tmp_path / "run.h5", x)
    assert held == [True] * 8 + [False] * 22
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.tensor(7, kind=Kind.OUTPUT, layer=0).shape[0] == 10


def test_a_step_that_was_larger_than_expected_is_not_held_again(tmp_path: Path, held: Held) -> None:
    tf = pytest.importorskip("tensorflow")
    # Where TensorFlow leaves the size of a batch open, nobody knows better until one has run.
    data = tf.data.Dataset.from_tensor_slices((VECTORS, LABELS)).repeat(40).batch(1000)
    case = CASES["mlp"]
    model = case.build()
    model.compile("sgd", case.loss(), jit_compile=False)
    recorder = Recorder(tmp_path / "run.h5", ring_bytes=100_000)
    model.fit(data, epochs=2, verbose=0, callbacks=[recorder])
    assert held[0]
    assert not held[-1]
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.n_iterations == len(held)


def test_a_constant_is_held_in_every_step(
    tmp_path: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = np.ones((100, 1), np.float32)
    monkeypatch.setattr(tensorflow_form, "_HELD_GROUP_ELEMENTS", 100)  # an operation of its own

    class Table(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return keras.ops.convert_to_tensor(table)

    i = keras.Input((VECTORS.shape[1],))
    mean = keras.layers.Lambda(lambda two: two[0] * keras.ops.mean(two[1]), (1,))
    model = keras.Model(i, mean([keras.layers.Dense(1)(i), Table(name="table")(i)]))
    model.compile("sgd", "mse", jit_compile=False)
    recorder = Recorder(tmp_path / "run.h5", ring_iterations=10)
    model.fit(VECTORS, LABELS, 10, verbose=0, callbacks=[recorder])
    assert held == [True] * 10
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.statistics(kind="output", layer="table")["mean"].tolist() == [1.0] * 10


def failing_in_step(number: int) -> Any:
    """A constraint that raises in one step; on the updated weight: most has run by then."""
    tf = pytest.importorskip("tensorflow")
    calls = itertools.count()

    def failing(weight: Any) -> Any:
        if next(calls) == number:
            raise RuntimeError("a constraint of one's own")
        return weight

    def constraint(weight: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(failing, [weight], tf.float32), weight.shape)

    return constraint


def test_nothing_is_held_of_a_step_that_failed_within(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending: list[tuple[bool, bool]] = []
    let_go = tensorflow_form.WaitingForm.let_go

    def noted(self: Any) -> None:
        before = bool(self._pending.any())
        let_go(self)
        pending.append((before, bool(self._pending.any())))

    monkeypatch.setattr(tensorflow_form.WaitingForm, "let_go", noted)
    monkeypatch.setattr(tensorflow_form, "_HELD_GROUP_ELEMENTS", 100)  # several, some run early
    wide = keras.layers.Dense(500)
    head = keras.layers.Dense(1, kernel_constraint=failing_in_step(3))
    model = keras.Sequential([keras.Input((VECTORS.shape[1],)), wide, head])
    model.compile("sgd", "mse", jit_compile=False)
    recorder = Recorder(tmp_path / "run.h5")
    with pytest.raises(Exception, match="a constraint of one's own"):
        model.fit(VECTORS, LABELS.astype("float32"), 10, verbose=0, callbacks=[recorder])
    assert pending == [(True, False)]
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.n_iterations == 3


@pytest.mark.parametrize("n_iterations", [None, 1, 0])
def test_a_loop_goes_on_being_recorded_after_a_step_that_failed_within(
    n_iterations: int | None, tmp_path: Path, operations: list[str]
) -> None:
    head = keras.layers.Dense(1, kernel_constraint=failing_in_step(3))
    model = keras.Sequential([keras.Input((VECTORS.shape[1],)), keras.layers.Dense(50), head])
    model.compile("sgd", "mse", jit_compile=False)
    batches = [VECTORS[i : i + 10] for i in range(0, 80, 10)]
    batches[-1] = np.full_like(batches[-1], np.inf)
    recorder = Recorder(tmp_path / "run.h5", ring_iterations=n_iterations)
    with recorder.recording(model):
        for k, x in enumerate(batches):
            with pytest.raises(Exception, match="one's own") if k == 3 else nullcontext():
                model.train_on_batch(x, LABELS[:10].astype("float32"))
    del batches[3]
    with open_trace(tmp_path / "run.h5") as trace:
        found = trace.statistics(kind="input")["checksum"].tolist()
        assert found == [statistics_row(x)["checksum"] for x in batches]
        kept = sorted({entry.iteration for entry in trace.reader.tensor_entries()})
        assert kept == ([] if n_iterations == 0 else list(range(7 - (n_iterations or 7), 7)))
        for iteration in kept:
            np.testing.assert_array_equal(trace.tensor(iteration, kind="input"), batches[iteration])
