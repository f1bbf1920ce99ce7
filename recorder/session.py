"""One training run being recorded: what every framework shares.

A backend announces the tensors of a step once (`Session.plan`) and hands over their values each
time the step ran (`Session.step`); what becomes of them is `step_recording.py`'s. Nothing here
raises into the training: the first error ends the recording with one warning.
"""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from numpy.typing import NDArray

from deeplocalize.traces.header import Header, Layer, Series, Unrecorded
from deeplocalize.traces.interface import TraceWriter
from deeplocalize.traces.schema import EventName, RunStatus

from .background import Background
from .budget import Budget
from .continuation import Continuation
from .kernel import compile_kernels
from .options import Options
from .plan import Plan, Plans
from .recording import Recording
from .step_recording import Moment, Observer, StepRecording
from .step_values import StepNumbers, StepValues
from .warning import told, warn


class Waiting(Protocol):
    """Steps of a session that a backend keeps for a while."""

    def take(self) -> None:
        """Hand all of them over; does nothing where it is called by what that leads to."""

    def close(self) -> None:
        """Keep no more of them."""


class Session:
    """One training run being recorded.

    Steps may wait in a backend (`Waiting`), and large ones are measured in the background, except
    where somebody waits for what a step shows: a replay, an observer, a trigger, a device that has
    its tensors still. Backends count against its ``budget`` what they take beyond that of `step`.

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
        if options.budget is not None:
            compile_kernels()  # before its clock starts
        header = replace(header, schedule=options.described())
        self._recording = Recording(writer, header, max_bytes=options.max_bytes)
        self._plans = Plans(self._recording, options.schedule)
        self.budget = Budget(options.budget)
        self._steps = StepRecording(self._recording, self._plans, options, self.budget, observer)
        self._background = Background()
        self._waiting: Waiting | None = None
        self._is_shown = observer is not None or options.trigger is not None
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
        self._catch_up()
        return self._plans.add(step, missed)

    def is_due(self) -> bool:
        """Whether the coming step is to be recorded in full, or at least one of its series.

        For backends to which looking into a step costs much. The first step always is.
        """
        self._catch_up()
        if not self.takes_steps:
            return False
        try:
            return self._steps.is_due(self._first_iteration + self._n_steps)
        except Exception as error:  # the outermost tap: a schedule is the user's own
            self.failed(error)
            return False

    @property
    def watches(self) -> bool:
        """Whether a step that is not due is wanted all the same if something in it breaks."""
        self._catch_up()
        return self.takes_steps and not self._steps.has_broken

    @property
    def takes_steps(self) -> bool:
        """Whether further steps are recorded."""
        return self.is_open and not self._steps.is_full

    @property
    def may_wait(self) -> bool:
        """Whether steps may be recorded a while after they ended, with all their statistics.

        That is where nobody waits for what a step shows, or chooses which series are due. Of the
        `budget` the backend has to take care then.
        """
        chooses = self._options.schedule is not None or self._options.exact is not None
        return not (self._is_shown or chooses)

    def take_from(self, waiting: Waiting) -> None:
        """Take the steps that wait there before anything that depends on them."""
        self._catch_up()
        if self._waiting is not None:
            self._waiting.close()  # of a model that was compiled anew
        self._waiting = waiting

    def step(self, plan: Plan, values: StepValues, age_s: float = 0.0) -> bool:
        """Record an iteration; whether more of it is wanted (see `replayed` and `supplied`).

        ``age_s``: for how long it has waited.
        """
        if not self.takes_steps:
            return False
        moment = self._next_moment(age_s)
        is_awaited = self._is_shown or self._options.budget is not None
        if is_awaited or plan.replay is not None or values.rows is not None:
            self._background.wait()
            return self._record(plan, values, moment)
        self._background.run(partial(self._record, plan, values, moment), values.n_bytes)
        return False

    def left_out(self, plan: Plan, steps: Iterable[tuple[StepNumbers, float]]) -> None:
        """Record iterations of which the backend has measured nothing, for nothing new broke.

        ``steps``: the numbers of each, and for how long it has waited.
        """
        self._background.wait()
        try:
            for numbers, age_s in steps:
                if self.takes_steps:
                    self._steps.leave_out(plan, numbers, self._next_moment(age_s))
        except Exception as error:  # the outermost tap
            self.failed(error)

    def replayed(self, tensors: Sequence[NDArray[Any]]) -> None:
        """Add what a replay of the latest iteration gave, in the order of the plan's series."""
        self._go_on(partial(self._steps.finish, StepValues(tensors, [None] * len(tensors))))

    def supplied(self, positions: Sequence[int], values: StepValues) -> None:
        """Add tensors of the latest iteration that were on the device, by positions in its plan."""
        self._go_on(partial(self._steps.supply, positions, values))

    def nothing_more(self) -> None:
        """Say that nothing will be added to the latest iteration."""
        self._go_on(self._steps.finish)

    def n_steps_kept(self, n_bytes: int) -> int:
        """Of how many of the latest steps all tensors may be wanted, which take so many bytes.

        A backend that cannot know how many bytes it will be goes by the step before.
        """
        if self.asks_for_tensors:
            return sys.maxsize
        return self._steps.n_steps_kept(n_bytes)

    def failed(self, error: Exception) -> None:
        """Stop recording, warn once, let the training go on."""
        self._catch_up()  # the row under way is to be in the trace
        with self._lock:
            if not self.is_open:
                return
            self.is_open = False
        self._let_go_of_tensors()
        with contextlib.suppress(Exception):  # the same failure again, about to be reported
            self._recording.event(
                EventName.END, f"recording failed: {error}", {"status": RunStatus.FAILED}
            )
            self._recording.close()
        warn(f"deeplocalize stopped recording ({told(error)}); the training goes on")

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
        warn(f"deeplocalize: {message}")

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
        self._catch_up()
        self._epoch, self._batch = epoch, 0

    def end_epoch(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """Note an epoch's metrics, validation included."""
        self._catch_up()
        if not self.is_open:
            return
        try:
            numbers = {name: _number(value) for name, value in logs.items()}
            self._recording.event(
                EventName.EPOCH, f"epoch {epoch} ended", {"epoch": epoch, "logs": numbers}
            )
            self._steps.end_epoch(self._batch)
        except Exception as error:  # the outermost tap
            self.failed(error)

    def close(self, status: RunStatus, message: str = "") -> None:
        """End the trace, saying how the run ended; a second call does nothing."""
        self._catch_up()
        self._background.close()
        with self._lock:
            if not self.is_open:
                return
            self.is_open = False
        try:
            self._steps.finish()
            self._let_go_of_tensors()
            self._plans.update_data_summary()
            self._recording.event(EventName.END, message, {"status": status})
            self._recording.close()
        except Exception as error:  # the outermost tap
            self.is_open = True
            self.failed(error)

    # ---- within ------------------------------------------------------------------------------

    def _catch_up(self) -> None:
        """Return once all steps that have ended are recorded."""
        try:
            if self._waiting is not None:
                self._waiting.take()
        except Exception as error:  # the outermost tap
            self._let_go_of_tensors()  # else the failure would catch up, too
            self.failed(error)
        self._background.wait()

    def _let_go_of_tensors(self) -> None:
        """Keep nothing in memory that will not be recorded any more."""
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = None
        self._steps.let_go()

    def _next_moment(self, age_s: float) -> Moment:
        moment = Moment(self._epoch, self._batch, self._recording.elapsed_s - age_s)
        self._batch += 1
        self._n_steps += 1
        return moment

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
        self._catch_up()  # the steps change it, too
        self._recording.set_header(replace(self._recording.header, **changes))


def _number(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)
