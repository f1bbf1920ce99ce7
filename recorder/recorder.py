"""Recording one `fit` after another: what the recorders of all frameworks share.

A recorder is a callback. Here is when a trace begins and how it ends; which tensors a step has is
the business of a backend (``backends/``), and being a callback of some framework that of
``keras_callback.py`` and ``numpynet_callback.py``.
"""

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from deeplocalize.traces.header import Opening
from deeplocalize.traces.schema import RunStatus

from .backends import OnLeft, backend_of, repeat_obstacle_of
from .backends.first_step import Loop
from .continuation import continuation_of
from .ending import ending_of
from .opening import DEFAULT_BATCHES, MAX_BYTES
from .options import Options, check_truth_value, check_whole_number
from .origin import with_origin
from .ring import DEFAULT_BYTES
from .schedule import Schedule, due_of, sparse
from .session import Session
from .step_recording import Observer
from .succession import Succession
from .unended import end_at_the_latest
from .warning import told, warn

# The end of a fit may be noticed in another thread, while the next one begins in this one. (One
# lock for all: a recorder that has one of its own could not be copied.)
_leaving = threading.RLock()


class TrainingRecorder:
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
    schedule
        When statistics are taken: given an iteration, says so (default: always). Or a
        dictionary of such, by patterns of kinds, layers' names or classes. Iterations left out
        are watched for non-finite values all the same, and recorded where there are any.
    tensors
        Given an iteration, says whether to store all tensors in full (default: never).
    ring_iterations
        The tensors of this many last iterations are held in memory, and stored in full when
        something is not finite for the first time (on a GPU that iteration's). 0: no ring.
        None: eight, or as many as take 16 MiB, but at least one: more would slow the training
        down. Under a ``budget`` one, if there is no ``trigger``.
    ring_bytes
        Fewer iterations are held where they take more memory than this. 0: no ring.
    trigger
        Given an iteration and its loss, says whether to store what the ring holds.
    budget
        What recording is to cost at the most, as a share of the time that the steps take without
        it: iterations are left out as by a schedule. One in 61 or so is recorded whatever that
        costs. (In a compiled step on TensorFlow, at least one in eight is left out, for the
        others to be compared with.)
    max_bytes
        Recording stops, with a note in the trace, when the trace is this large.
    exact
        Record as well what cannot be observed without changing the run, by replaying parts of
        the step: in iterations 0, 1, 2, 4, 8, ..., in every 100th, and in the one in which
        something is not finite for the first time. Or a schedule of your own. On TensorFlow.
    replayable
        Keep the first weights and the batches of the first epoch in full, at most 200 (or as many
        as it says) and 64 MiB of them, so that ``deeplocalize-analyze --verify`` can try fixes.
    continues
        Path of the trace of an earlier process whose training goes on now, from a checkpoint: the
        iterations are numbered on, and reports know that the weights are not fresh.
    histograms
        Given an iteration, says whether to count the elements of all tensors by their power of
        two; True: always. Costs several times what statistics do.

    Raises
    ------
    TraceNotFoundError, TraceReadError, TraceFormatError, TraceVersionError
        ``continues`` names no readable trace.
    TraceExistsError
        The path exists and ``overwrite`` is false, or it is not a trace.
    TraceFormatError
        The suffix names no format.
    TraceWriteError
        The path cannot be written.
    TypeError, ValueError
        An option is not what it is to be: a schedule no function, a number out of its range.
    """

    model: Any
    params: Any
    set_model: Callable[[Any], None]
    set_params: Callable[[Any], None]

    def __init__(
        self,
        path: str | Path,
        *,
        overwrite: bool = False,
        schedule: Schedule | Mapping[str, Schedule] | None = None,
        tensors: Schedule | None = None,
        ring_iterations: int | None = None,
        ring_bytes: int = DEFAULT_BYTES,
        trigger: Callable[[int, float], bool] | None = None,
        budget: float | None = None,
        max_bytes: int | None = None,
        exact: bool | Schedule = False,
        replayable: bool | int = False,
        continues: str | Path | None = None,
        histograms: Schedule | bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"path={path!r}: wanted the path of a trace, such as 'trace.h5'")
        check_truth_value("overwrite", overwrite)
        replays = sparse if exact is True else exact or None
        self._options = Options(
            schedule=schedule,
            tensors=tensors,
            ring_iterations=ring_iterations,
            ring_bytes=ring_bytes,
            trigger=trigger,
            budget=budget,
            max_bytes=max_bytes,
            exact=replays,
            histograms=due_of(histograms),
        )
        if not isinstance(replayable, bool):
            check_whole_number("replayable", replayable, least=0)
        self._n_replayable = DEFAULT_BATCHES if replayable is True else int(replayable)
        self._traces = Succession(Path(path), overwrite, continues)
        self._epoch = 0
        self._has_begun = False
        self._session: Session | None = None
        self._loop: Loop | None = None
        self._detach: Callable[[], None] = _nothing
        self._call_off: Callable[[], object] = _nothing
        self._on_left: OnLeft = _ignore

    @property
    def path(self) -> Path:
        """Where the trace of the latest ``fit`` is, or will be."""
        return self._traces.path

    # ---- the framework's hooks ---------------------------------------------------------------

    def on_train_begin(self, logs: Any = None) -> None:
        """Observe the model's steps for the length of this ``fit``."""
        with _leaving:
            if self._session is not None:
                warn(
                    "deeplocalize: a recorder records one fit at a time; with the one that begins "
                    f"now {self.path} ends"
                )
            self._leave(RunStatus.EXCEPTION, "the earlier fit was left without on_train_end")
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
        self._epoch = epoch
        if self._session is None:
            return
        if not self._has_begun:
            self._begin(self._session)
        self._session.begin_epoch(epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Note the epoch's metrics."""
        if self._session is not None:
            self._session.end_epoch(epoch, logs or {})

    def on_train_end(self, logs: Any = None) -> None:
        """Leave the model as it was and close the trace."""
        stopped = bool(getattr(self.model, "stop_training", False))
        self._leave(RunStatus.STOPPED if stopped else RunStatus.COMPLETED)

    def on_train_exception(self, error: BaseException) -> None:
        """The same, when ``fit`` is left by an exception."""
        self._leave(*ending_of(error))

    # ---- loops of the user's own -------------------------------------------------------------

    @contextlib.contextmanager
    def recording(self, model: Any) -> Iterator[Self]:
        """Record each ``train_on_batch`` of a compiled model while the context lasts.

        ``on_epoch_begin(epoch)`` and ``on_epoch_end(epoch, logs)`` may be called where the loop
        has epochs. The trace begins with the first step and ends with the context. Models that
        take turns, as in a GAN, want a recorder each.
        """
        self._loop = None
        try:
            with self.recording_steps(model):
                yield self
        except BaseException as error:
            self.on_train_exception(error)
            raise
        else:
            self._leave(RunStatus.COMPLETED)
        finally:
            self._loop = None  # what comes next may be a fit

    @contextlib.contextmanager
    def recording_steps(self, model: Any) -> Iterator[None]:
        """Record some steps of a loop, of which there may be more: the trace stays open.

        It ends with `on_train_end` or `on_train_exception`, or when the recorder is gone. The
        recorder refers to its model; where nothing but the model refers to it, they go together.
        """
        if self._loop is None:
            self.set_model(model)
            self.set_params({})
            self._epoch = 0
            self._loop = Loop(self._begin_loop, self._attach)
        with self._loop.watching(model):
            yield

    # ---- for those who inherit ---------------------------------------------------------------

    def observer(self) -> Observer | None:
        """What is shown every row of the trace that begins now; None for nobody."""
        return None

    def on_trace_closed(self) -> None:
        """Called once the trace at `path` is complete. Must not raise."""

    # ---- within ------------------------------------------------------------------------------

    def _enter(self) -> None:
        model = self.model
        backend = backend_of(model)
        params = self.params or {}
        header = replace(
            with_origin(backend.describe(model)),
            n_epochs=params.get("epochs"),
            steps_per_epoch=params.get("steps"),
        )
        if self._n_replayable:
            opening = Opening(self._n_replayable, MAX_BYTES, repeat_obstacle_of(model))
            header = replace(header, opening=opening)
        self._session = session = Session(
            self._traces.next_writer(), header, self._options, self.observer()
        )
        self._has_begun = False
        # When the recorder is gone, its model is, too; the end of a fit is noticed in other ways.
        gone = RunStatus.EXCEPTION if self._loop is None else RunStatus.COMPLETED
        close = functools.partial(session.close, gone)
        self._call_off = end_at_the_latest(self, self._leave, close)

        def on_left(error: BaseException | None) -> None:
            with _leaving:
                if self._session is not session:
                    return
                if error is None:
                    # Its model was left as it was at once; by now another fit may observe it.
                    self._detach = _nothing
                    self._leave(RunStatus.EXCEPTION, "fit was left by an exception")
                else:
                    self.on_train_exception(error)

        self._on_left = on_left
        self._attach()

    def _attach(self) -> None:
        """Observe the model's steps; again where it was compiled anew."""
        if self._session is not None:
            self._detach = backend_of(self.model).attach(self.model, self._session, self._on_left)

    def _begin(self, session: Session) -> None:
        """Say what the training goes on from, once it is known with which epoch it begins."""
        self._has_begun = True
        try:
            session.note_updates_before(_n_updates(self.model))
            earlier = self._traces.earlier(self.model, self._epoch)
            if earlier is not None:
                session.go_on_from(continuation_of(earlier, self._epoch))
        except Exception as error:  # the outermost tap: a failing recorder must not stop a training
            session.failed(error)

    def _begin_loop(self) -> None:
        self.on_train_begin()
        self.on_epoch_begin(self._epoch)

    def _leave(self, status: RunStatus, message: str = "") -> None:
        with _leaving:
            self._restore()
            session, self._session = self._session, None
            if session is not None:
                session.close(status, message)
                self.on_trace_closed()
            self._call_off()

    def _restore(self) -> None:
        self._on_left = _ignore  # it holds this object: a cycle
        detach, self._detach = self._detach, _nothing
        detach()


# Those who misspell an option called it by the name that they know.
TrainingRecorder.__init__.__qualname__ = "Recorder.__init__"


def _n_updates(model: Any) -> int:
    """Steps that a model's optimizer has taken so far."""
    return int(np.asarray(getattr(model.optimizer, "iterations", 0)))


def _ignore(error: BaseException | None) -> None:
    """Nothing is recorded any more."""


def _nothing() -> None:
    """Nothing to leave."""


def _warn_not_recorded(error: Exception) -> None:
    warn(f"deeplocalize does not record this training ({told(error)})", stacklevel=3)
