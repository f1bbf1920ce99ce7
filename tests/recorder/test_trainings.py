"""Kinds of training: each left bit-identical, its values compared with separate computations."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from deeplocalize.analyzer import analyze
from deeplocalize.analyzer.diagnosis import Verdict
from deeplocalize.recorder import Recorder
from deeplocalize.traces import Kind, open_trace

from .models import FEATURES, LABELS, VECTORS, from_logits
from .side_by_side import (
    BATCH,
    N_STEPS,
    batch_of,
    classifier,
    fit,
    recorded,
    softmax_losses,
    tensors,
)


def _batches() -> Iterator[tuple[Any, Any]]:
    while True:
        for step in range(N_STEPS):
            yield VECTORS[batch_of(step)], LABELS[batch_of(step)]


class _Sequence(keras.utils.PyDataset):
    def __len__(self) -> int:
        return N_STEPS

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return VECTORS[batch_of(index)], LABELS[batch_of(index)]


DATA: dict[str, Callable[[], Any]] = {
    "tf.data": lambda: tf.data.Dataset.from_tensor_slices((VECTORS, LABELS)).batch(BATCH),
    "generator": _batches,
    "PyDataset": _Sequence,
}


@pytest.mark.parametrize("source", DATA)
def test_batches_of_every_source_are_recorded_as_they_were_trained(
    source: str, tmp_path: Path
) -> None:
    def train(model: Any, callbacks: list[Any]) -> Any:
        steps = N_STEPS if source == "generator" else None
        return model.fit(
            DATA[source](), epochs=2, steps_per_epoch=steps, shuffle=False, verbose=0,
            callbacks=callbacks,
        ).history  # fmt: skip

    recorded(classifier, tmp_path / "run.h5", train)
    with open_trace(tmp_path / "run.h5") as trace:
        assert trace.n_iterations == 2 * N_STEPS
        for step in range(2 * N_STEPS):
            at = batch_of(step % N_STEPS)
            np.testing.assert_array_equal(trace.tensor(step, kind="input"), VECTORS[at])
            np.testing.assert_array_equal(trace.tensor(step, kind="label"), LABELS[at])


CLASS_WEIGHT = {0: 0.5, 1: 1.0, 2: 4.0}
SAMPLE_WEIGHT = np.linspace(0, 2, len(LABELS)).astype("float32")
OF_CLASSES = np.array([CLASS_WEIGHT[int(label)] for label in LABELS], np.float32)


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ({"class_weight": CLASS_WEIGHT}, OF_CLASSES),
        ({"sample_weight": SAMPLE_WEIGHT}, SAMPLE_WEIGHT),
    ],
)
def test_the_loss_is_weighted_as_the_samples_and_classes_are(
    argument: dict[str, Any], expected: NDArray[Any], tmp_path: Path
) -> None:
    recorded(classifier, tmp_path / "run.h5", lambda m, c: fit(m, c, **argument))
    with open_trace(tmp_path / "run.h5") as trace:
        for step in range(N_STEPS):
            at = batch_of(step)
            weights = trace.tensor(step, kind="sample_weight")
            np.testing.assert_array_equal(weights.reshape(-1), expected[at])
            losses = softmax_losses(trace.tensor(step, layer="out"), LABELS[at])
            loss = trace.iterations["loss"][step]
            np.testing.assert_allclose(loss, (losses * expected[at]).mean(), rtol=1e-5)


def test_metrics_equal_a_separate_computation(tmp_path: Path) -> None:
    def build() -> Any:
        entropy = keras.metrics.SparseCategoricalCrossentropy(name="entropy", from_logits=True)
        return classifier(metrics=["accuracy", entropy])

    recorded(build, tmp_path / "run.h5")
    with open_trace(tmp_path / "run.h5") as trace:
        hits: list[bool] = []
        losses: list[float] = []
        for step in range(N_STEPS):
            logits, labels = trace.tensor(step, layer="out"), LABELS[batch_of(step)]
            hits += list(logits.argmax(axis=1) == labels)
            losses += list(softmax_losses(logits, labels))
            # Keras's metrics run over the epoch.
            row = trace.iterations.iloc[step]
            np.testing.assert_allclose(row["accuracy"], np.mean(hits), rtol=1e-6)
            np.testing.assert_allclose(row["entropy"], np.mean(losses), rtol=1e-5)


def test_a_frozen_layer_has_weights_but_no_gradients_and_no_updates(tmp_path: Path) -> None:
    def build() -> Any:
        model = classifier()
        model.get_layer("hidden").trainable = False
        model.compile(keras.optimizers.SGD(0.1), from_logits())
        return model

    recorded(build, tmp_path / "run.h5")
    with open_trace(tmp_path / "run.h5") as trace:
        kinds = {
            kind: {layer for layer, _, _ in tensors(trace, kind, 0)}
            for kind in (Kind.WEIGHT, Kind.WEIGHT_GRADIENT, Kind.WEIGHT_UPDATE, Kind.OUTPUT)
        }
    assert kinds[Kind.WEIGHT] == kinds[Kind.OUTPUT] == {"hidden", "out"}
    assert kinds[Kind.WEIGHT_GRADIENT] == kinds[Kind.WEIGHT_UPDATE] == {"out"}


def test_nan_in_moving_statistics_is_found_though_the_loss_is_finite(tmp_path: Path) -> None:
    """BatchNormalization trains with the batch's statistics: only inference would show it."""

    class Spoil(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 2:
                self.model.get_layer("norm").moving_variance.assign(np.full(8, np.nan))

    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            keras.Input((FEATURES,)),
            keras.layers.Dense(8, name="hidden"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Dense(3, name="out"),
        ]
    )
    model.compile("sgd", from_logits())
    fit(model, [Recorder(tmp_path / "run.h5"), Spoil()], epochs=2)
    with open_trace(tmp_path / "run.h5") as trace:
        assert np.isfinite(trace.iterations["loss"]).all()
        state = trace.statistics(layer="norm", kind="state", tensor="moving_variance")
        assert list(state["n_nan"]) == [0, 0, 0] + [8] * 7
    diagnosis = analyze(tmp_path / "run.h5")
    assert diagnosis.verdict is Verdict.FAULTY
    fault = diagnosis.first_fault
    assert fault is not None and fault.layer is not None
    assert (fault.layer.name, fault.moment.iteration) == ("norm", 3)
    assert (fault.place.kind, fault.place.tensor) == (Kind.STATE, "moving_variance")


@pytest.mark.parametrize("mode", [{"steps_per_execution": 3}, {"run_eagerly": True}])
def test_every_step_is_recorded_however_many_run_at_once(
    mode: dict[str, Any], tmp_path: Path
) -> None:
    recorded(lambda: classifier(**mode), tmp_path / "run.h5")
    recorded(classifier, tmp_path / "single.h5")
    with open_trace(tmp_path / "run.h5") as trace, open_trace(tmp_path / "single.h5") as single:
        for step in range(N_STEPS):
            np.testing.assert_array_equal(trace.tensor(step, kind="input"), VECTORS[batch_of(step)])
            for kind in (Kind.WEIGHT, Kind.WEIGHT_GRADIENT):
                expected, found = tensors(single, kind, step), tensors(trace, kind, step)
                for key, values in expected.items():
                    np.testing.assert_allclose(found[key], values, rtol=1e-4, atol=1e-6)
