"""The callback: ``model.fit(..., callbacks=[Recorder("trace.h5")])``."""

import atexit
import datetime
import importlib.metadata
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from deeplocalize.traces.errors import TraceError
from deeplocalize.traces.files import create_writer
from deeplocalize.traces.header import Header
from deeplocalize.traces.interface import TraceWriter

from .backends import tensorflow as backend
from .fit_scope import watch_fit
from .keras_model import (
    describe_layers,
    describe_loss,
    describe_metrics,
    describe_optimizer,
    model_config,
    placed_layers,
)
from .session import Schedule, Session


class Recorder(keras.callbacks.Callback):
    """Records every batch of a training into a trace.

    The training's own step is observed while it runs: weights, history and random numbers come
    out bit for bit as without the recorder, and what cannot be observed without changing them
    is left out and listed in the trace. Should recording fail, one `RuntimeWarning` says so and
    the training goes on.

    Parameters
    ----------
    path
        ``*.h5`` for one HDF5 file, ``*.parquet`` for a directory of Parquet files. A second
        ``fit`` with the same recorder writes ``trace-2.h5``, and so on.
    overwrite
        Replace an existing trace.
    tensors
        Given an iteration, says whether to store all tensors in full (default: never).

    Raises
    ------
    TraceExistsError
        The path exists and ``overwrite`` is false, or it is not a trace.
    TraceFormatError
        The suffix names no format.
    TraceWriteError
        The path cannot be written.
    """

    # No hook of this callback is called per batch, so Keras may keep dispatching steps ahead.
    async_safe = True

    def __init__(
        self,
        path: str | Path,
        *,
        overwrite: bool = False,
        tensors: Schedule | None = None,
    ) -> None:
        super().__init__()
        self.path = Path(path)
        """Where the trace of the latest ``fit`` is, or will be."""
        self._first_path = self.path
        self._overwrite = overwrite
        self._tensors = tensors
        self._n_fits = 0
        self._writer: TraceWriter | None = create_writer(self.path, overwrite)
        self._session: Session | None = None
        self._restore: Callable[[], None] = _nothing

    # ---- Keras's hooks -----------------------------------------------------------------------

    def on_train_begin(self, logs: Any = None) -> None:
        """Take over the model's train function for the length of this ``fit``."""
        self._leave("exception", "the earlier fit was left without on_train_end")
        try:
            self._enter()
        except Exception as error:  # the outermost tap: a failing recorder must not stop a training
            self._restore()
            if self._session is not None:
                self._session.failed(error)
            else:
                _warn_not_recorded(error)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Steps from here on belong to this epoch."""
        if self._session is not None:
            self._session.begin_epoch(epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Note the epoch's metrics."""
        if self._session is not None:
            self._session.end_epoch(epoch, logs or {})

    def on_train_end(self, logs: Any = None) -> None:
        """Give the train function back and close the trace."""
        stopped = bool(getattr(self.model, "stop_training", False))
        self._leave("stopped" if stopped else "completed")

    # ---- within ------------------------------------------------------------------------------

    def _enter(self) -> None:
        model = self.model
        writer = self._next_writer()
        placed = placed_layers(model)
        self._session = session = Session(
            writer, _header(model, placed, self.params), self._tensors
        )
        original = model.train_function
        tapped = backend.tapped_train_function(model, placed, session)
        history = getattr(model, "history", None)

        def restore() -> None:
            self._restore = _nothing
            atexit.unregister(at_exit)
            if model.train_function is train_function:
                model.train_function = original

        def train_function(iterator: Any) -> Any:
            if not session.is_open and getattr(model, "history", None) is not history:
                # Left behind by a fit that ended in an exception nobody told us of.
                restore()
                return original(iterator)
            try:
                return tapped(iterator)
            except (StopIteration, GeneratorExit):
                raise
            except BaseException as error:
                self._on_exception(error)
                raise

        def at_exit() -> None:
            self._leave("exception", "the process ended within fit")

        def on_gone() -> None:
            if self._session is session:
                self._leave("exception", "fit was left by an exception")

        self._restore = restore
        atexit.register(at_exit)
        watch_fit(model, self._on_exception, on_gone)
        model.train_function = train_function

    def _on_exception(self, error: BaseException) -> None:
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "exception"
        summary = next(iter(str(error).strip().splitlines()), "")
        self._leave(status, f"{type(error).__name__}: {summary}")

    def _leave(self, status: str, message: str = "") -> None:
        self._restore()
        session, self._session = self._session, None
        if session is not None:
            session.close(status, message)

    def _next_writer(self) -> TraceWriter:
        """The writer made at construction, then one with a numbered name for each further fit."""
        self._n_fits += 1
        writer, self._writer = self._writer, None
        if writer is None:
            first = self._first_path
            self.path = first.with_name(f"{first.stem}-{self._n_fits}{first.suffix}")
            writer = create_writer(self.path, self._overwrite)
        return writer


def _nothing() -> None:
    """Nothing to restore."""


def _warn_not_recorded(error: Exception) -> None:
    reason = str(error) if isinstance(error, TraceError) else repr(error)
    warnings.warn(
        f"deeplocalize does not record this training ({reason})", RuntimeWarning, stacklevel=3
    )


def _header(model: Any, placed: Any, params: dict[str, Any] | None) -> Header:
    params = params or {}
    return Header(
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        deeplocalize_version=importlib.metadata.version("deeplocalize"),
        framework=f"keras/{keras.backend.backend()}",
        versions={"keras": keras.__version__, **backend.versions()},
        execution=backend.execution(model),
        model_name=model.name,
        model_class=type(model).__name__,
        model_config=model_config(model),
        loss=describe_loss(model.loss),
        optimizer=describe_optimizer(model.optimizer),
        metrics=describe_metrics(model),
        n_epochs=params.get("epochs"),
        steps_per_epoch=params.get("steps"),
        seed=None,
        layers=describe_layers(placed),
    )
