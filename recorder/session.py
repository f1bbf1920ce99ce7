"""One training run being recorded: what every framework shares.

A backend announces the tensors of a step once (`Session.plan`) and hands over their values each
time the step ran (`Session.step`); what becomes of them is `step_recording.py`'s. Nothing here
raises into the training: the first error ends the recording with one warning.
"""

import contextlib
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from numpy.typing import NDArray

from deeplocalize.traces.header import Header, Layer, Series, Unrecorded
from deeplocalize.traces.interface import TraceWriter
from deeplocalize.traces.schema import EventName, RunStatus

from .background import Background
from .continuation import Continuation
from .kernel import compile_kernels
from .options import Options
from .plan import Plan, Plans
from .recording import Recording
from .step_recording import Moment, Observer, StepRecording
from .step_values import StepValues


class Session:
    """One training run being recorded.

    Large steps are measured in the background, except where somebody waits for what a step shows: a
    replay, an observer, a trigger, a device that has its tensors still. A budget counts what the
    training waits for.

    Parameters
    ----------
    writer
        Where the trace goes.
    header
        What is known before the first step.
    options
        What is recorded, beyond the statistics of every step.
    observer
        Shown each row as it is recorded.
    """

    def __init__(
        self,
        writer: TraceWriter,
        header: Header,
        options: Options | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._options = options = options or Options()
        compile_kernels()  # before the clock of a budget starts
        header = replace(header, schedule=options.described())
        self._recording = Recording(writer, header, max_bytes=options.max_bytes)
        self._plans = Plans(self._recording, options.schedule)
        self._steps = StepRecording(self._recording, self._plans, options, observer)
        self._background = Background()
        self._is_awaited = any(
            one is not None for one in (observer, options.trigger, options.budget)
        )
        self._first_iteration = 0
        self._n_steps = 0
        self._epoch = 0
        self._batch = 0
        self._lock = threading.Lock()
        self._replay_is_refused = False
        self.is_open = True
        self._recording.event(EventName.BEGIN)

    # ---- what a backend calls ----------------------------------------------------------------

    def plan(self, step: Sequence[Series], missed: Sequence[Unrecorded]) -> Plan:
        """Declare the tensors of a step, in execution order, and what is not among them."""
        self._background.wait()
        return self._plans.add(step, missed)

    def is_due(self) -> bool:
        """Whether the coming step is to be recorded in full, or at least one of its series.

        For backends to which looking into a step costs much. The first step always is.
        """
        self._background.wait()
        if not self._takes_steps:
            return False
        try:
            return self._steps.is_due(self._first_iteration + self._n_steps)
        except Exception as error:  # the outermost tap: a schedule is the user's own
            self.failed(error)
            return False

    @property
    def watches(self) -> bool:
        """Whether a step that is not due is wanted all the same if something in it breaks."""
        self._background.wait()
        return self._takes_steps and not self._steps.has_broken

    def spend(self, seconds: float) -> None:
        """Count time that a backend took, beyond that of `step`, against the budget."""
        self._steps.spend(seconds)

    def step(self, plan: Plan, values: StepValues) -> bool:
        """Record an iteration; whether more of it is wanted (see `replayed` and `supplied`)."""
        if not self._takes_steps:
            return False
        moment = Moment(self._epoch, self._batch, self._recording.elapsed_s)
        self._batch += 1
        self._n_steps += 1
        if self._is_awaited or plan.replay is not None or values.rows is not None:
            self._background.wait()
            return self._record(plan, values, moment)
        self._background.run(partial(self._record, plan, values, moment), values.n_bytes)
        return False

    def replayed(self, tensors: Sequence[NDArray[Any]]) -> None:
        """Add what a replay of the latest iteration gave, in the order of the plan's series."""
        self._go_on(partial(self._steps.finish, StepValues(tensors, [None] * len(tensors))))

    def supplied(self, positions: Sequence[int], values: StepValues) -> None:
        """Add tensors of the latest iteration that were on the device, by positions in its plan."""
        self._go_on(partial(self._steps.supply, positions, values))

    def failed(self, error: Exception) -> None:
        """Stop recording, warn once, let the training go on."""
        self._background.wait()  # the row under way is to be in the trace
        with self._lock:
            if not self.is_open:
                return
            self.is_open = False
        with contextlib.suppress(Exception):  # the same failure again, about to be reported
            self._recording.event(
                EventName.END, f"recording failed: {error}", {"status": RunStatus.FAILED}
            )
            self._recording.close()
        # Where warnings are errors, it is not to end the training.
        with contextlib.suppress(RuntimeWarning):
            warnings.warn(
                f"deeplocalize stopped recording ({error}); the training goes on unrecorded",
                RuntimeWarning,
                stacklevel=2,
            )

    @property
    def replays(self) -> bool:
        """Whether what the step does not hand over is to be replayed."""
        return self._options.exact is not None and not self._replay_is_refused

    def refuse_replay(self, reason: str) -> None:
        """Say, in the trace and to the person, that there will be no replays."""
        if not self.replays:
            return
        self._replay_is_refused = True
        message = f"exact=True adds nothing to this recording: {reason}"
        schedule = {**self._recording.header.schedule, "exact": message}
        self._replace_header(schedule=schedule)
        self.warn(message)

    def warn(self, message: str) -> None:
        """Say something, in the trace and to the person."""
        self._recording.event(EventName.NOTE, message)
        with contextlib.suppress(RuntimeWarning):  # where warnings are errors
            warnings.warn(f"deeplocalize: {message}", RuntimeWarning, stacklevel=2)

    @property
    def asks_for_tensors(self) -> bool:
        """Whether all tensors of a step may be wanted in full, though nothing breaks."""
        return self._options.asks_for_tensors

    # ---- what the callback calls -------------------------------------------------------------

    def set_model(
        self, layers: Sequence[Layer], model_config: Mapping[str, Any] | None = None
    ) -> None:
        """Replace the header's layers; those that have series must stay where they are."""
        self._replace_header(layers=tuple(layers))
        if model_config is not None:
            self._replace_header(model_config=dict(model_config))

    def go_on_from(self, continuation: Continuation) -> None:
        """Number the iterations on from an earlier trace, and say so in this one."""
        self._first_iteration = continuation.first_iteration
        self._recording.number_from(continuation.first_iteration)
        self._replace_header(continues=str(continuation.path))
        message = f"goes on from {continuation.path} at iteration {continuation.first_iteration}"
        self._recording.event(EventName.NOTE, message, {"continues": str(continuation.path)})

    def note_updates_before(self, n_updates: int) -> None:
        """Say how many steps the optimizer has taken before this training."""
        if n_updates:
            self._replace_header(n_updates_before=n_updates)

    def begin_epoch(self, epoch: int) -> None:
        """The next step is the first of this epoch."""
        self._epoch, self._batch = epoch, 0

    def end_epoch(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """Note an epoch's metrics, validation included."""
        self._background.wait()
        if not self.is_open:
            return
        try:
            numbers = {name: _number(value) for name, value in logs.items()}
            self._recording.event(
                EventName.EPOCH, f"epoch {epoch} ended", {"epoch": epoch, "logs": numbers}
            )
            self._plans.update_data_summary()
            self._steps.summarizes_data = False
        except Exception as error:  # the outermost tap
            self.failed(error)

    def close(self, status: RunStatus, message: str = "") -> None:
        """End the trace, saying how the run ended; a second call does nothing."""
        self._background.close()
        with self._lock:
            if not self.is_open:
                return
            self.is_open = False
        try:
            self._steps.finish()
            self._plans.update_data_summary()
            self._recording.event(EventName.END, message, {"status": status})
            self._recording.close()
        except Exception as error:  # the outermost tap
            self.is_open = True
            self.failed(error)

    # ---- within ------------------------------------------------------------------------------

    @property
    def _takes_steps(self) -> bool:
        return self.is_open and not self._steps.is_full

    def _record(self, plan: Plan, values: StepValues, moment: Moment) -> bool:
        if not self.is_open:
            return False
        try:
            return self._steps.record(plan, values, moment)
        except Exception as error:  # the outermost tap: a failing recorder must not stop a training
            self.failed(error)
            return False

    def _go_on(self, finish: Callable[[], None]) -> None:
        """Finish the latest iteration."""
        if not self.is_open:
            return
        try:
            finish()
        except Exception as error:  # the outermost tap
            self.failed(error)

    def _replace_header(self, **changes: Any) -> None:
        self._background.wait()  # the steps change it, too
        self._recording.set_header(replace(self._recording.header, **changes))


def _number(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)
