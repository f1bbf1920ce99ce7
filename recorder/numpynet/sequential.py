"""The network as one trains it: compile, fit, evaluate, predict, save and load.

What one training step does is in ``step.py``; the data's part is in ``batches.py``.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from . import storage
from .arrays import Array
from .batches import Data, as_array, make_data
from .callbacks import CallbackList, History, Logs, as_callbacks
from .epochs import run_epoch
from .layers import LAYERS, Layer
from .losses import Loss, loss_named
from .metrics import check_metric
from .network import Network
from .optimizers import Optimizer, optimizer_named
from .progress import Progress
from .step import StepResult, Tap, fan_out, make_objective, test_step, train_step
from .threads import one_blas_thread


class Sequential(Network):
    """A chain of layers that learns, with the methods and event names of Keras's.

    Attributes
    ----------
    taps
        Observers of every training step (see `Tap`); empty costs nothing.
    stop_training
        Set by a callback, it ends the training after the batch.
    """

    def __init__(
        self,
        layers: Iterable[Layer] = (),
        name: str = "sequential",
        *,
        dtype: str = "float32",
        seed: int | None = None,
    ) -> None:
        super().__init__(layers, name, dtype=dtype, seed=seed)
        self.taps: list[Tap] = []
        self.stop_training = False
        self.metrics: tuple[str, ...] = ()
        self._loss: Loss | None = None
        self._optimizer: Optimizer | None = None

    @property
    def loss(self) -> Loss:
        """The compiled loss; ValueError before `compile`."""
        if self._loss is None:
            raise ValueError(f"{self.name}: is not compiled; call compile(loss=...) first")
        return self._loss

    @property
    def optimizer(self) -> Optimizer:
        """The compiled optimizer; ValueError before `compile`."""
        if self._optimizer is None:
            raise ValueError(f"{self.name}: is not compiled; call compile(loss=...) first")
        return self._optimizer

    def compile(
        self,
        optimizer: str | Optimizer = "rmsprop",
        loss: str | Loss = "mean_squared_error",
        metrics: Sequence[str] = (),
    ) -> None:
        """Choose loss, optimizer and metrics, by Keras's names or as objects.

        Raises
        ------
        ValueError
            A name is unknown.
        """
        self._loss = loss_named(loss)
        self._optimizer = optimizer_named(optimizer)
        for metric in metrics:
            check_metric(metric)
        self.metrics = tuple(metrics)

    @one_blas_thread()
    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        batch_size: int = 32,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Sequence[ArrayLike] | None = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: ArrayLike | None = None,
        initial_epoch: int = 0,
    ) -> History:
        """Train for ``epochs`` - ``initial_epoch`` rounds over the samples.

        Parameters
        ----------
        x, y, sample_weight
            Samples (N, ...), labels and a weight for each; floats are cast to the network's dtype.
        batch_size, epochs, initial_epoch
            Samples per step, and the epochs to run: from ``initial_epoch`` up to ``epochs``.
        shuffle
            Whether every epoch takes the samples in a new order.
        verbose
            0 silent, 1 (``"auto"``) progress, 2 one line per epoch.
        callbacks
            An object with methods of Keras's event names, or several (see ``callbacks.py``).
        validation_data, validation_split
            ``(x, y)`` or ``(x, y, sample_weight)``, or the part of the samples (from the end) to
            set apart; evaluated after each epoch.
        class_weight
            Weight of the samples of each class, instead of ``sample_weight``.

        Raises
        ------
        ValueError
            Not compiled, or data that do not fit each other or the network.
        """
        data = make_data(x, y, self.dtype, sample_weight, class_weight)
        validation = None
        if validation_data is not None:
            validation = self._data(*validation_data)
        elif validation_split:
            data, validation = data.split(validation_split)
        self._check(data)
        if validation is not None:
            self._check(validation)
        history = History()
        progress = [Progress(2 if verbose == 2 else 1)] if verbose else []
        params = {"epochs": epochs, "steps": data.n_batches(batch_size), "verbose": verbose}
        events = CallbackList((*as_callbacks(callbacks), history, *progress), self, params)
        self.stop_training = False
        logs: dict[str, float] = {}
        try:
            events.call("on_train_begin")
            for epoch in range(initial_epoch, epochs):
                events.call("on_epoch_begin", epoch)
                batches = data.batches(batch_size, self._rng if shuffle else None)
                logs = run_epoch(
                    "train",
                    batches,
                    self._train_step,
                    self.metrics,
                    events,
                    lambda: self.stop_training,
                    self._end_step,
                )
                if validation is not None:
                    results = self._test(validation, batch_size, events)
                    logs |= {f"val_{name}": value for name, value in results.items()}
                events.call("on_epoch_end", epoch, logs)
                if self.stop_training:
                    break
        except BaseException as error:
            events.call("on_train_exception", error)
            raise
        events.call("on_train_end", logs)
        return history

    @one_blas_thread()
    def evaluate(
        self,
        x: ArrayLike,
        y: ArrayLike,
        batch_size: int = 32,
        verbose: int | str = 0,
        sample_weight: ArrayLike | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> float | list[float] | dict[str, float]:
        """Loss and metrics over the samples, in inference.

        Returns
        -------
        float, list or dict
            The loss; with metrics a list that begins with it; as a dict by name if asked for.
        """
        data = self._data(x, y, sample_weight)
        self._check(data)
        params = {"steps": data.n_batches(batch_size), "verbose": verbose}
        events = CallbackList(as_callbacks(callbacks), self, params)
        logs = self._test(data, batch_size, events)
        if verbose and verbose != "auto":
            print("  ".join(f"{name} {value:.4f}" for name, value in logs.items()))
        if return_dict:
            return logs
        return list(logs.values()) if self.metrics else logs["loss"]

    @one_blas_thread()
    def predict(self, x: ArrayLike, batch_size: int = 32) -> Array:
        """Outputs (N, *output_shape) in inference, computed batch by batch."""
        samples = as_array(x, self.dtype)
        self.fit_input(samples)
        starts = range(0, len(samples), batch_size)
        parts = [self.outputs(samples[start : start + batch_size]) for start in starts]
        empty = np.empty((0, *self.layers[-1].output_shape), dtype=self.dtype)
        return np.concatenate(parts) if parts else empty

    @one_blas_thread()
    def train_on_batch(
        self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> StepResult:
        """One training step on these samples as one batch."""
        data = self._data(x, y, sample_weight)
        self._check(data)
        result = self._train_step(data)
        self._end_step({})
        return result

    def save(self, path: str | Path) -> None:
        """Write layers, weights, loss, metrics and optimizer (with its state) to an npz file.

        A learning rate that is a callable is stored as the value that it has now.
        """
        config: dict[str, Any] = {
            "name": self.name,
            "dtype": self.dtype,
            "input_shape": self.layers[0].input_shape if self.layers else (),
            "layers": [{"class": layer.class_name, **layer.config()} for layer in self.layers],
        }
        slots: dict[str, Array] = {}
        if self._loss is not None:
            config["loss"] = self.loss.config()
            config["metrics"] = self.metrics
            config["optimizer"] = self.optimizer.config()
            config["iterations"] = self.optimizer.iterations
            for key, arrays in self.optimizer.slots.items():
                slots |= {f"{key}/{name}": array for name, array in arrays.items()}
        storage.write(path, storage.Stored(config, tuple(self.get_weights()), slots))

    @classmethod
    def load(cls, path: str | Path, seed: int | None = None) -> Self:
        """The network that `save` wrote, ready to go on training.

        Raises
        ------
        ValueError
            Not such a file, or a damaged one.
        """
        stored = storage.read(path)
        classes = {layer.__name__: layer for layer in LAYERS}
        config = dict(stored.config)
        try:
            model = cls(name=config["name"], dtype=config["dtype"], seed=seed)
            for arguments in config["layers"]:
                model.add(classes[arguments.pop("class")](**arguments))
            if stored.weights:
                model.build(tuple(config["input_shape"]))
                model.set_weights(stored.weights)
            if "loss" in config:
                loss, optimizer = config["loss"], config["optimizer"]
                model.compile(
                    optimizer_named(optimizer.pop("name"), **optimizer),
                    loss_named(loss.pop("name"), **loss),
                    config["metrics"],
                )
                model.optimizer.iterations = config["iterations"]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: damaged, or written by a newer release ({error})") from error
        for key, array in stored.slots.items():
            parameter, name = key.rsplit("/", 1)
            model.optimizer.slots.setdefault(parameter, {})[name] = array
        return model

    def _data(self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Data:
        return make_data(x, y, self.dtype, sample_weight)

    def _check(self, data: Data) -> None:
        self.fit_input(data.x)
        self._objective = make_objective(self.loss, self.layers)

    def _test(self, data: Data, batch_size: int, events: CallbackList) -> dict[str, float]:
        events.call("on_test_begin")
        batches = data.batches(batch_size)
        logs = run_epoch("test", batches, self._test_step, self.metrics, events)
        events.call("on_test_end", logs)
        return logs

    def _test_step(self, batch: Data) -> StepResult:
        return test_step(self.layers, self._objective, batch.x, batch.y, batch.sample_weight)

    def _train_step(self, batch: Data) -> StepResult:
        return train_step(
            self.layers,
            self._objective,
            self.optimizer,
            batch.x,
            batch.y,
            batch.sample_weight,
            fan_out(self.taps),
        )

    def _end_step(self, metrics: Logs) -> None:
        for tap in self.taps:
            tap.end_step(metrics)
