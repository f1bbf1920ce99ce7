"""From the tensors of each step to the rows of one trace: what every framework shares.

A session is one training run being recorded. A backend announces the tensors of a step once
(`Session.plan`) and hands over their values each time the step ran (`Session.step`). Nothing
here raises into the training: the first error ends the recording with one warning.
"""

import contextlib
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplocalize.traces.header import Header, Layer, Series, Unrecorded
from deeplocalize.traces.interface import TraceWriter
from deeplocalize.traces.schema import EventName, Kind, RunStatus

from .budget import Budget
from .continuation import Continuation
from .exponents import histograms_of
from .kernel import compile_kernels
from .measurement import nonfinite
from .options import Options
from .plan import Plan, Plans
from .recording import Recording
from .retention import Retention
from .row import Row
from .schedule import Schedule, schedule_of
from .step_values import StepValues

Observer = Callable[[Header, Row], None]
"""Is shown a row of the trace and the header as it is then; what it raises ends the recording."""

# A training killed in its first epoch is to leave a summary, too.
_SUMMARY_STEPS = {16**k for k in range(8)}
_SCALED_KINDS = {Kind.OUTPUT_GRADIENT, Kind.PREACTIVATION_GRADIENT, Kind.WEIGHT_GRADIENT}


@dataclass(frozen=True)
class _Step:
    """An iteration that has been measured and not yet recorded."""

    plan: Plan
    values: StepValues
    row: Row
    breaks: bool
    began: float


class Session:
    """One training run being recorded.

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
        self._retention = Retention(self._recording, options)
        self._budget = Budget(options.budget) if options.budget is not None else None
        self._has_broken = False
        self._is_full = False
        self._observer = observer
        self._plans = Plans(self._recording, options.schedule)
        self._summarizes_data = True
        self._n_measured = 0
        self._n_scheduled = 0
        self._schedules: set[Schedule] = set()
        self._epoch = 0
        self._batch = 0
        self._lock = threading.Lock()
        self._pending: _Step | None = None
        self._replay_is_refused = False
        self.is_open = True
        self._recording.event(EventName.BEGIN)

    # ---- what a backend calls ----------------------------------------------------------------

    def plan(self, step: Sequence[Series], missed: Sequence[Unrecorded]) -> Plan:
        """Declare the tensors of a step, in execution order, and what is not among them."""
        return self._plans.add(step, missed)

    def is_due(self) -> bool:
        """Whether the coming step is to be recorded in full, or at least one of its series.

        For backends to which looking into a step costs much. The first step always is.
        """
        if not self.is_open or self._is_full:
            return False
        try:
            return self._is_due(self._recording.n_iterations)
        except Exception as error:  # the outermost tap: a schedule is the user's own
            self.failed(error)
            return False

    @property
    def watches(self) -> bool:
        """Whether a step that is not due is wanted all the same if something in it breaks."""
        return self.is_open and not self._has_broken and not self._is_full

    def spend(self, seconds: float) -> None:
        """Count time that a backend took, beyond that of `step`, against the budget."""
        if self._budget is not None:
            self._budget.spend(seconds)

    def step(self, plan: Plan, values: StepValues) -> bool:
        """Record an iteration; whether it is to be replayed (see `replayed`)."""
        if not self.is_open or self._is_full:
            return False
        began = time.perf_counter()
        try:
            self._record()
            self._pending = self._measure(plan, values, began)
            if self._pending is not None and self._wants_replay(self._pending):
                return True
            self._record()
        except Exception as error:  # the outermost tap: a failing recorder must not stop a training
            self.failed(error)
        return False

    def replayed(self, tensors: Sequence[NDArray[Any]]) -> None:
        """Add what a replay of the latest iteration gave, in the order of the plan's series."""
        if not self.is_open:
            return
        try:
            self._record(StepValues(tensors, [None] * len(tensors), lasting=True))
        except Exception as error:  # the outermost tap
            self.failed(error)

    def failed(self, error: Exception) -> None:
        """Stop recording, warn once, let the training go on."""
        with self._lock:
            if not self.is_open:
                return
            self.is_open = False
        self._pending = None
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
        header = self._recording.header
        schedule = {**header.schedule, "exact": message}
        self._recording.set_header(replace(header, schedule=schedule))
        self._recording.event(EventName.NOTE, message)
        with contextlib.suppress(RuntimeWarning):  # where warnings are errors
            warnings.warn(f"deeplocalize: {message}", RuntimeWarning, stacklevel=2)

    # ---- what the callback calls -------------------------------------------------------------

    def set_model(
        self, layers: Sequence[Layer], model_config: Mapping[str, Any] | None = None
    ) -> None:
        """Replace the header's layers; those that have series must stay where they are."""
        header = replace(self._recording.header, layers=tuple(layers))
        if model_config is not None:
            header = replace(header, model_config=dict(model_config))
        self._recording.set_header(header)

    def go_on_from(self, continuation: Continuation) -> None:
        """Number the iterations on from an earlier trace, and say so in this one."""
        self._recording.number_from(continuation.first_iteration)
        header = replace(self._recording.header, continues=str(continuation.path))
        self._recording.set_header(header)
        message = f"goes on from {continuation.path} at iteration {continuation.first_iteration}"
        self._recording.event(EventName.NOTE, message, {"continues": str(continuation.path)})

    def note_updates_before(self, n_updates: int) -> None:
        """Say how many steps the optimizer has taken before this training."""
        if n_updates:
            header = replace(self._recording.header, n_updates_before=n_updates)
            self._recording.set_header(header)

    def begin_epoch(self, epoch: int) -> None:
        """The next step is the first of this epoch."""
        self._epoch, self._batch = epoch, 0

    def end_epoch(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """Note an epoch's metrics, validation included."""
        if not self.is_open:
            return
        try:
            numbers = {name: _number(value) for name, value in logs.items()}
            self._recording.event(
                EventName.EPOCH, f"epoch {epoch} ended", {"epoch": epoch, "logs": numbers}
            )
            self._plans.update_data_summary()
            self._summarizes_data = False  # further epochs show the same data again
        except Exception as error:  # the outermost tap
            self.failed(error)

    def close(self, status: RunStatus, message: str = "") -> None:
        """End the trace, saying how the run ended; a second call does nothing."""
        with self._lock:
            if not self.is_open:
                return
            self.is_open = False
        try:
            self._record()
            self._plans.update_data_summary()
            self._recording.event(EventName.END, message, {"status": status})
            self._recording.close()
        except Exception as error:  # the outermost tap
            self.is_open = True
            self.failed(error)

    # ---- within ------------------------------------------------------------------------------

    def _is_due(self, iteration: int) -> bool:
        series, layer_of = self._recording.header.series, self._recording.header.layer_of
        if not series or self._retention.is_due(iteration):
            return True
        if not self._is_within_budget():
            return False
        if len(series) != self._n_scheduled:
            self._n_scheduled = len(series)
            self._schedules = {schedule_of(s, layer_of(s), self._options.schedule) for s in series}
        histograms = self._options.histograms
        if histograms is not None and histograms(iteration):
            return True
        return any(schedule(iteration) for schedule in self._schedules)

    def _measure(self, plan: Plan, values: StepValues, began: float) -> _Step | None:
        if self._recording.is_full:
            self._is_full = True
            message = f"the trace reached {self._options.max_bytes} bytes: no more is recorded"
            self._recording.event(EventName.LIMIT, message, {"max_bytes": self._options.max_bytes})
            return None
        iteration = self._recording.n_iterations
        measured, rows = plan.measurement.measure(
            iteration, values, self._is_within_budget(), widens=not self._has_broken
        )
        if not values.is_loss_known:
            is_kept = measured != plan.loss
            measured, rows = measured[is_kept], rows[is_kept]
        if self._summarizes_data:
            at = {int(k): i for i, k in enumerate(measured)}
            for k, summarizer in plan.data:
                if k in at:
                    summarizer.add(values.tensors[k], rows[at[k]])
        loss = float("nan")
        if plan.loss is not None and values.is_loss_known:
            loss = float(values.tensors[plan.loss].reshape(-1)[0])
        n_samples = -1
        if plan.first_input is not None and values.tensors[plan.first_input].ndim:
            n_samples = values.tensors[plan.first_input].shape[0]
        row = Row(
            plan.series[measured],
            rows,
            self._epoch,
            self._batch,
            n_samples,
            loss,
            values.learning_rate,
            values.loss_scale,
            self._recording.elapsed_s,
        )
        self._batch += 1
        self._n_measured += 1
        if self._summarizes_data and self._n_measured in _SUMMARY_STEPS:
            self._plans.update_data_summary()
        return _Step(
            plan, values, row, self._breaks(plan, values, measured[nonfinite(rows)]), began
        )

    def _is_within_budget(self) -> bool:
        return self._budget is None or self._budget.allows()

    def _breaks(self, plan: Plan, values: StepValues, broken: NDArray[np.intp]) -> bool:
        """Whether something is not finite for the first time."""
        if self._has_broken or not broken.size:
            return False
        # Else the loss scale is too large for this step, and will be lowered.
        return values.loss_scale == 1 or not {plan.kinds[k] for k in broken} <= _SCALED_KINDS

    def _wants_replay(self, step: _Step) -> bool:
        exact = self._options.exact
        if exact is None or step.plan.replay is None:
            return False
        return step.breaks or (exact(self._recording.n_iterations) and self._is_within_budget())

    def _record(self, replayed: StepValues | None = None) -> None:
        """Append the measured iteration, with what a replay of it gave."""
        step, self._pending = self._pending, None
        if step is None:
            return
        iteration = self._recording.n_iterations
        plan, row, values = step.plan, step.row, step.values
        series, kinds = plan.series.tolist(), list(plan.kinds)
        if replayed is not None:
            assert plan.replay is not None
            row = _with_replay(row, plan.replay, replayed)
            series += plan.replay.series.tolist()
            kinds += plan.replay.kinds
            values = replace(
                values,
                tensors=[*values.tensors, *replayed.tensors],
                minus=[*values.minus, *replayed.minus],
            )
        self._count_elements(iteration, series, values)
        self._retention.keep(iteration, row.epoch, series, kinds, values)
        self._recording.append(row)
        self._has_broken |= step.breaks
        self._retention.respond(iteration, row.loss, step.breaks)
        if self._observer is not None:
            self._observer(self._recording.header, row)
        if self._budget is not None:
            self._budget.spend(time.perf_counter() - step.began)

    def _count_elements(self, iteration: int, series: Sequence[int], values: StepValues) -> None:
        due = self._options.histograms
        if due is not None and due(iteration) and self._is_within_budget():
            counted = histograms_of(iteration, series, values.tensors, values.minus)
            self._recording.append_histograms(counted)


def _with_replay(row: Row, plan: Plan, values: StepValues) -> Row:
    _, rows = plan.measurement.measure(0, values, allowed=True, widens=False)
    return replace(
        row,
        series=np.concatenate([row.series, plan.series]),
        statistics=np.concatenate([row.statistics, rows]),
    )


def _number(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)
