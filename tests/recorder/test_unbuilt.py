"""Models that learn the shape of their input from the first batch."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from deeplocalize.recorder import Recorder
from deeplocalize.traces import open_trace


class Subclassed(keras.Model):
    """Two layers, called in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = keras.layers.Dense(3, "relu", name="hidden")
        self.head = keras.layers.Dense(1, name="head")

    def call(self, x: Any) -> Any:
        return self.head(self.hidden(x))


def sequential() -> keras.Model:
    return keras.Sequential(
        [keras.layers.Dense(3, "relu", name="hidden"), keras.layers.Dense(1, name="head")]
    )


def trained(make: Any, run_eagerly: bool, callbacks: list[keras.callbacks.Callback]) -> Any:
    keras.utils.set_random_seed(3)
    model = make()
    model.compile("adam", "mse", run_eagerly=run_eagerly)
    x = np.random.default_rng(0).normal(size=(48, 4)).astype("float32")
    history = model.fit(x, x.sum(1), 16, 2, verbose=0, callbacks=callbacks)
    return model.get_weights(), history.history


@pytest.mark.parametrize("run_eagerly", [False, True], ids=["graph", "eager"])
@pytest.mark.parametrize("make", [sequential, Subclassed])
def test_a_model_that_builds_itself_is_recorded_and_described_as_if_it_had_been_built(
    make: Any, run_eagerly: bool, tmp_path: Path
) -> None:
    weights, history = trained(make, run_eagerly, [])
    recorder = Recorder(tmp_path / "trace.h5")
    recorded_weights, recorded_history = trained(make, run_eagerly, [recorder])
    assert recorded_history == history
    for plain, recorded in zip(weights, recorded_weights, strict=True):
        np.testing.assert_array_equal(plain, recorded)
    with open_trace(tmp_path / "trace.h5") as trace:
        sizes = {layer.name: layer.n_parameters for layer in trace.header.layers}
        assert (sizes["hidden"], sizes["head"]) == (15, 4)
        assert {series.call for series in trace.header.series} == {0}
        outputs = trace.statistics(layer="head", kind="output")
        assert list(outputs["iteration"]) == list(range(6))


def test_a_layer_within_a_wrapper_that_is_called_for_each_step_is_recorded(tmp_path: Path) -> None:
    tokens = np.random.default_rng(0).integers(1, 9, (32, 5))
    tokens[:, 3:] = 0
    model = keras.Sequential(
        [
            keras.layers.Embedding(9, 4, mask_zero=True),
            keras.layers.TimeDistributed(keras.layers.Dense(3, "softmax", name="inner")),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(tokens, tokens % 3, 16, 2, verbose=0, callbacks=[Recorder(tmp_path / "trace.h5")])
    with open_trace(tmp_path / "trace.h5") as trace:
        assert trace.n_iterations == 4
        keys = [(s.kind, s.layer, s.call, s.tensor) for s in trace.header.series]
        assert len(set(keys)) == len(keys)
