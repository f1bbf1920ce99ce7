"""Where XLA compiles the step, the loss is known from Keras's running sums alone."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from deeplocalize.analyzer import analyze
from deeplocalize.analyzer.diagnosis import Verdict
from deeplocalize.traces import open_trace

from .models import FEATURES, VECTORS, from_logits
from .side_by_side import BATCH, classifier, fit, recorded


def xla(**compiled: Any) -> Any:
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=1.0)
    return classifier(optimizer=optimizer, **compiled)


def test_under_xla_the_loss_after_a_broken_batch_is_not_known_until_the_epoch_ends(
    tmp_path: Path,
) -> None:
    """There it comes from Keras's running sums, which do not forget a NaN; the batches are fine."""
    x = VECTORS.copy()
    x[2 * BATCH + 1, 3] = np.nan  # the optimizer skips this step, and the weights stay finite

    def train(model: Any, callbacks: list[Any]) -> Any:
        return fit(model, callbacks, x=x, epochs=2)

    recorded(lambda: xla(jit_compile=True), tmp_path / "xla.h5", train)
    recorded(lambda: xla(jit_compile=False), tmp_path / "graph.h5", train)
    with open_trace(tmp_path / "xla.h5") as trace, open_trace(tmp_path / "graph.h5") as graph:
        losses = trace.statistics(kind="loss")
        assert list(losses["iteration"]) == [0, 1, 2, 5, 6, 7]
        assert list(losses["n_nan"]) == [0, 0, 1] * 2
        finite = [0, 1, 5, 6]
        np.testing.assert_allclose(
            trace.iterations["loss"][finite], graph.iterations["loss"][finite], rtol=1e-4
        )
        assert trace.iterations["loss"].drop(finite).isna().all()


def test_under_xla_a_loss_that_keras_does_not_sum_up_is_not_known(tmp_path: Path) -> None:
    class OwnStep(keras.Sequential):
        def train_step(self, data: Any) -> Any:
            x, y = data[:2]
            with tf.GradientTape() as tape:
                loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True))
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            return {"own": loss}

    def build() -> Any:
        keras.utils.set_random_seed(7)
        model = OwnStep([keras.Input((FEATURES,)), keras.layers.Dense(3, name="out")])
        model.compile("sgd", from_logits(), jit_compile=True)
        return model

    recorded(build, tmp_path / "run.h5")
    with open_trace(tmp_path / "run.h5") as trace:
        assert len(trace.statistics(kind="loss")) == 0
        assert trace.iterations["loss"].isna().all()
        assert np.isfinite(trace.iterations["own"]).all()
    assert analyze(tmp_path / "run.h5").verdict is not Verdict.FAULTY
