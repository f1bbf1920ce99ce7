"""What a training is compared with: the recorder, what else people use, and a lower bound.

An arm yields the callbacks of one training. Some change TensorFlow's global state, so that every
arm is measured in a process of its own.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from deeplocalize.recorder import Recorder
from deeplocalize.recorder.backends import tensorflow as backend
from deeplocalize.recorder.backends.tensorflow_graph import reason_not_to_observe
from deeplocalize.recorder.schedule import Schedule, always

Arm = Callable[[Path], AbstractContextManager[list[Any]]]


@contextmanager
def plain(folder: Path) -> Iterator[list[Any]]:
    """Keras alone."""
    yield []


@contextmanager
def recorder(folder: Path) -> Iterator[list[Any]]:
    """`Recorder` with its defaults: every batch, all layers, all kinds, on disk."""
    yield [Recorder(folder / "run.h5", overwrite=True)]


@contextmanager
def parquet(folder: Path) -> Iterator[list[Any]]:
    """The same into Parquet."""
    yield [Recorder(folder / "run.parquet", overwrite=True)]


@contextmanager
def budget(folder: Path) -> Iterator[list[Any]]:
    """`Recorder(..., budget=0.10)`."""
    yield [Recorder(folder / "run.h5", overwrite=True, budget=0.10)]


def exact(schedule: Schedule) -> Arm:
    """``Recorder(..., exact=...)``: in iterations without a replay, or all of them with one."""

    @contextmanager
    def exactly(folder: Path) -> Iterator[list[Any]]:
        yield [Recorder(folder / "run.h5", overwrite=True, exact=schedule)]

    return exactly


@contextmanager
def floor(folder: Path) -> Iterator[list[Any]]:
    """One ``reduce_sum`` of every tensor that the recorder observes, and nothing else."""
    sink = tf.Variable(0.0)

    def reduce_only(tensors: Any, *_: Any, **__: Any) -> None:
        sums = [
            tf.reduce_sum(tf.cast(one.value if one.minus is None else one.value - one.minus, float))
            for one in tensors.tapped
            if reason_not_to_observe(one.value) is None
        ]
        sink.assign(tf.reduce_sum(tf.stack(sums)))  # keeps them from being optimized away

    with mock.patch.object(backend, "emit", reduce_only):
        yield [Recorder(folder / "run.h5", overwrite=True)]


@contextmanager
def check_numerics(folder: Path) -> Iterator[list[Any]]:
    """``tf.debugging.enable_check_numerics``."""
    tf.debugging.enable_check_numerics()
    try:
        yield []
    finally:
        tf.debugging.disable_check_numerics()


def dump(mode: str) -> Arm:
    """``tf.debugging.experimental.enable_dump_debug_info`` in one of its modes."""

    @contextmanager
    def dumping(folder: Path) -> Iterator[list[Any]]:
        tf.debugging.experimental.enable_dump_debug_info(
            str(folder / "dump"), tensor_debug_mode=mode, circular_buffer_size=-1
        )
        try:
            yield []
        finally:
            tf.debugging.experimental.disable_dump_debug_info()

    return dumping


@contextmanager
def terminate_on_nan(folder: Path) -> Iterator[list[Any]]:
    """``keras.callbacks.TerminateOnNaN``: the loss alone."""
    yield [keras.callbacks.TerminateOnNaN()]


@contextmanager
def original(folder: Path) -> Iterator[list[Any]]:
    """The callback of the original DeepLocalize, see `OriginalCallback`."""
    yield [OriginalCallback()]


class OriginalCallback(keras.callbacks.Callback):
    """What the original does per batch, after the update (arXiv 2103.03376, algorithm 1).

    For every layer one forward pass of a model that ends there, and one call for the gradients of
    its weights; of everything the mean. It takes the first batch of the data, since a callback
    is not told which one was trained.
    """

    x: Any
    y: Any

    def on_train_begin(self, logs: Any = None) -> None:
        """One model per layer."""
        layers = [layer for layer in self.model.layers if not _is_input(layer)]
        self._layers = [(layer, keras.Model(self.model.inputs, layer.output)) for layer in layers]
        self._means: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Run them."""
        for layer, forward in self._layers:
            output = np.asarray(forward(self.x, training=False))
            means = [output.mean(), *(np.mean(weight) for weight in layer.get_weights())]
            if layer.trainable_weights:
                with tf.GradientTape() as tape:
                    loss = self.model.compute_loss(
                        self.x, self.y, self.model(self.x, training=True), training=True
                    )
                weights = [weight.value for weight in layer.trainable_weights]
                means += [np.mean(gradient) for gradient in tape.gradient(loss, weights)]
            self._means = [float(mean) for mean in means]


def _is_input(layer: Any) -> bool:
    return isinstance(layer, keras.layers.InputLayer)


ARMS: dict[str, Arm] = {
    "recorder": recorder,
    "parquet": parquet,
    "budget 0.10": budget,
    "exact never": exact(lambda iteration: False),
    "exact always": exact(always),
    "floor": floor,
    "TerminateOnNaN": terminate_on_nan,
    "check_numerics": check_numerics,
    "dump CURT": dump("CURT_HEALTH"),
    "dump CONCISE": dump("CONCISE_HEALTH"),
    "dump FULL": dump("FULL_HEALTH"),
    "original": original,
}
