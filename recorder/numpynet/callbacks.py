"""Callbacks: what may watch and stop a training, with the event names of Keras.

Any object with some of these methods will do, Keras's own callbacks included; events that it
does not have are skipped.
"""

from collections.abc import Iterable, Mapping
from typing import Any

Logs = Mapping[str, float]


class Callback:
    """Does nothing at every event; inherit and override what you need.

    Attributes
    ----------
    model
        The network that is being trained.
    params
        ``epochs``, ``steps`` (batches per epoch) and ``verbose``.
    """

    model: Any = None
    params: Mapping[str, Any]

    def set_model(self, model: Any) -> None:
        """Called first, with the network."""
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Called before anything begins."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch, with its logs."""

    def on_train_exception(self, error: BaseException) -> None:
        """Instead of the end, when the training is left by an exception (not one of Keras's)."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation, with means over the epoch."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch, counted from 0 in each epoch."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch, with means over the epoch so far."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation, with its means."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of an evaluation, with means so far."""


class History(Callback):
    """Keeps the logs of every epoch: what `fit` returns.

    Attributes
    ----------
    epoch
        Numbers of the epochs.
    history
        By the log's name, a value for each epoch.
    """

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Append the logs."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


def as_callbacks(callbacks: Any) -> tuple[Any, ...]:
    """None, one callback or several, as several."""
    if callbacks is None:
        return ()
    return tuple(callbacks) if isinstance(callbacks, list | tuple) else (callbacks,)


class CallbackList:
    """Passes each event on to every callback, in order."""

    def __init__(self, callbacks: Iterable[Any], model: Any, params: Mapping[str, Any]) -> None:
        self.callbacks = tuple(callbacks)
        self.call("set_model", model)
        self.call("set_params", params)

    def call(self, event: str, *arguments: Any) -> None:
        """Call the method of that name, where there is one."""
        for callback in self.callbacks:
            method = getattr(callback, event, None)
            if method is not None:
                method(*arguments)
