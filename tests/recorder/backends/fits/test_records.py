"""What is recorded, and what is said to be missing."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from deeplocalize.recorder import Recorder
from deeplocalize.recorder.backends import UnknownBackendError, backend_of
from deeplocalize.traces import open_trace

from .builders import BACKEND, X, Y, assert_same, assert_untouched, build, fit


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
        means = trace.statistics(kind="input")["mean"]
        np.testing.assert_allclose(means, X.reshape(4, -1).mean(axis=1), atol=1e-6)


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


def test_a_framework_without_a_backend_is_refused_by_name(monkeypatch: Any) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "openvino")
    with pytest.raises(UnknownBackendError, match="openvino"):
        backend_of(build_without_framework())


def build_without_framework() -> Any:
    return object()


@pytest.mark.skipif(BACKEND == "torch", reason="there a loop is Python's own")
def test_a_layer_that_is_called_in_a_loop_of_the_step_is_listed_as_missing(tmp_path: Path) -> None:
    class Repeated(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = keras.layers.Dense(4, name="inner")

        def build(self, shape: Any) -> None:
            self.inner.build(shape)

        def call(self, x: Any) -> Any:
            return keras.ops.fori_loop(0, 2, lambda _, value: self.inner(value), x)

    model = keras.Sequential([keras.Input((4,)), Repeated(), keras.layers.Dense(3, name="out")])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    fit(model, Recorder(tmp_path / "run.h5"))
    with open_trace(tmp_path / "run.h5") as trace:
        names = [layer.name for layer in trace.header.layers]
        inner = names.index("inner")
        missing = [one for one in trace.header.unrecorded if one.layer == inner]
        kinds = {str(s.kind) for s in trace.header.series if s.layer == inner}
    assert [str(one.kind) for one in missing if "within a loop" in one.reason] == ["output"]
    assert kinds == {"weight", "weight_gradient", "weight_update"}
