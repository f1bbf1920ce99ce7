"""Trainings in float16, with loss scaling, and in bfloat16."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplocalize.analyzer import analyze
from deeplocalize.analyzer.diagnosis import Verdict
from deeplocalize.traces import open_trace

from .models import VECTORS
from .side_by_side import BATCH, N_STEPS, classifier, fit, recorded


@pytest.fixture(autouse=True)
def default_policy() -> Iterator[None]:
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("steps_per_execution", [1, 2])
def test_an_overflow_that_loss_scaling_skips_is_normal(
    steps_per_execution: int, tmp_path: Path
) -> None:
    def build() -> Any:
        # Too large a scale for float16: halved until gradients fit.
        optimizer = keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(0.1), initial_scale=2.0**20
        )
        return classifier(
            "mixed_float16", optimizer=optimizer, steps_per_execution=steps_per_execution
        )

    model = recorded(build, tmp_path / "run.h5", lambda m, c: fit(m, c, epochs=4))
    with open_trace(tmp_path / "run.h5") as trace:
        scales = trace.iterations["loss_scale"].to_numpy()
        assert len(scales) == 4 * N_STEPS  # every inner step
        assert scales[0] == 2.0**20
        gradients = trace.statistics(layer="hidden", kind="weight_gradient", tensor="kernel")
        updates = trace.statistics(layer="hidden", kind="weight_update", tensor="kernel")
        overflows = (gradients["n_nan"] + gradients["n_posinf"] + gradients["n_neginf"]) > 0
        assert overflows.iloc[0] and not overflows.iloc[-1]
        # A skipped step changes nothing, and halves the scale for the next.
        skipped = updates["rms"].to_numpy() == 0
        np.testing.assert_array_equal(scales[1:][skipped[:-1]], scales[:-1][skipped[:-1]] / 2)
        np.testing.assert_array_equal(scales[1:][~skipped[:-1]], scales[:-1][~skipped[:-1]])
        assert skipped[0] and set(np.flatnonzero(overflows)) <= set(np.flatnonzero(skipped))
        # What is recorded is the gradient of the scaled loss.
        last = 4 * N_STEPS - 1
        name: dict[str, Any] = {"layer": "out", "tensor": "kernel"}
        gradient = trace.tensor(last, kind="weight_gradient", **name) / scales[last]
        update = trace.tensor(last, kind="weight_update", **name)
        np.testing.assert_allclose(update, -0.1 * gradient, rtol=2e-2, atol=1e-5)
        final = trace.tensor(last, kind="weight", **name) + update
        np.testing.assert_array_equal(final, model.get_layer("out").kernel)
    assert analyze(tmp_path / "run.h5").verdict is not Verdict.FAULTY


def test_bfloat16_tensors_are_recorded_as_they_are(tmp_path: Path) -> None:
    recorded(lambda: classifier("mixed_bfloat16"), tmp_path / "run.h5")
    with open_trace(tmp_path / "run.h5") as trace:
        kernel = trace.tensor(0, layer="hidden", kind="weight", tensor="kernel")
        bias = trace.tensor(0, layer="hidden", kind="weight", tensor="bias")
        x = tf.cast(VECTORS[:BATCH], tf.bfloat16)
        separate = tf.nn.relu(x @ tf.cast(kernel, tf.bfloat16) + tf.cast(bias, tf.bfloat16))
        found = np.asarray(trace.tensor(0, layer="hidden"), np.float32)
        # Eight bits of mantissa.
        np.testing.assert_allclose(found, np.asarray(separate, np.float32), rtol=2e-2, atol=2e-2)
        n = trace.statistics(layer="hidden", kind="output")["n_nan"]
        assert (n == 0).all()
