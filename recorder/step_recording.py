"""From the tensors of one step to a row of the trace, and to what is kept of them in full."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from deeplocalize.traces.header import Header
from deeplocalize.traces.schema import EventName, Kind

from .budget import ONE_MEASURED_OF, Budget
from .exponents import histograms_of
from .measurement import nonfinite
from .options import Options
from .plan import Plan, Plans
from .recording import Recording
from .retention import Retention
from .row import N_COLUMNS, Row
from .schedule import Schedule, is_due, schedule_of
from .step_values import StepNumbers, StepValues

Observer = Callable[[Header, Row], None]
"""Is shown a row of the trace and the header as it is then; what it raises ends the recording."""

# A training killed in its first epoch is to leave a summary, too.
_SUMMARY_STEPS = {16**k for k in range(8)}
_NO_SERIES = np.empty(0, np.intp)
_NO_STATISTICS = np.empty((0, N_COLUMNS), np.int64)
_SCALED_KINDS = {Kind.OUTPUT_GRADIENT, Kind.PREACTIVATION_GRADIENT, Kind.WEIGHT_GRADIENT}


@dataclass(frozen=True)
class Moment:
    """When a step ended: its epoch, its number within, and seconds since the recording began."""

    epoch: int
    batch: int
    elapsed_s: float


@dataclass(frozen=True)
class _Step:
    """An iteration that has been measured and not yet recorded."""

    plan: Plan
    series: Sequence[int]
    kinds: Sequence[Kind]
    values: StepValues
    row: Row
    breaks: bool
    began: float


class StepRecording:
    """Measures one step after another and appends it to a recording.

    Parameters
    ----------
    recording
        Where the rows go.
    plans
        Of the steps.
    options
        What is recorded, beyond the statistics of every step.
    budget
        Of what that may cost.
    observer
        Shown each row as it is recorded.

    Its methods raise what the writer, and what the schedules of the user's own, raised.
    """

    def __init__(
        self,
        recording: Recording,
        plans: Plans,
        options: Options,
        budget: Budget,
        observer: Observer | None,
    ) -> None:
        self._recording = recording
        self._plans = plans
        self._options = options
        self._observer = observer
        self._retention = Retention(recording, options)
        self._budget = budget
        self.has_broken = False
        """Whether something was not finite."""
        self.is_full = False
        """Whether the trace has become as large as it may."""
        self._summarizes_data = True
        self._n_summarized = 0
        self._n_scheduled = 0
        self._schedules: set[Schedule] = set()
        self._pending: _Step | None = None
        self._ended_s: float | None = None
        self._duration_s = math.inf
        self._timed: list[Plan] = []
        self._writing_s = 0.0

    def is_due(self, iteration: int) -> bool:
        """Whether a coming step is to be recorded in full, or at least one of its series."""
        series, layer_of = self._recording.header.series, self._recording.header.layer_of
        if not series or self._retention.is_due(iteration):
            return True
        if not self._allows(iteration):
            return False
        if len(series) != self._n_scheduled:
            self._n_scheduled = len(series)
            self._schedules = {schedule_of(s, layer_of(s), self._options.schedule) for s in series}
        histograms = self._options.histograms
        if histograms is not None and is_due(histograms, iteration):
            return True
        return any(is_due(schedule, iteration) for schedule in self._schedules)

    def n_steps_kept(self, n_bytes: int) -> int:
        """Of how many of the latest steps tensors are held, or written, that take so many bytes."""
        return self._retention.n_steps_kept(n_bytes)

    def record(self, plan: Plan, values: StepValues, moment: Moment) -> bool:
        """Record an iteration; whether it waits for more.

        That is for what a replay of it gives (see `finish`), or for tensors that are on the device
        still (see `supply`).
        """
        began = time.perf_counter()
        self._count_time(plan, moment)
        self.finish()
        if self._recording.is_full:
            self._stop()
            return False
        self._pending = step = self._measure(plan, values, moment, began)
        if self._wants_replay(step) or self._wants_tensors(step):
            return True
        self.finish()
        return False

    def leave_out(self, plan: Plan, numbers: StepNumbers, moment: Moment) -> None:
        """Append an iteration of which nothing is measured, where none waits for more."""
        self._count_time(plan, moment)
        if self._recording.is_full:
            self._stop()
            return
        self._retention.pass_over()
        row = Row(
            _NO_SERIES,
            _NO_STATISTICS,
            moment.epoch,
            moment.batch,
            numbers.n_samples,
            numbers.loss if numbers.is_loss_known else float("nan"),
            numbers.learning_rate,
            numbers.loss_scale,
            moment.elapsed_s,
        )
        self._recording.append(row)

    def supply(self, positions: Sequence[int], values: StepValues) -> None:
        """Finish the iteration that waits with tensors of it, by their positions in its plan."""
        if self._pending is not None:
            series, kinds = self._pending.series, self._pending.kinds
            self._pending = replace(
                self._pending,
                series=[series[k] for k in positions],
                kinds=[kinds[k] for k in positions],
                values=values,
            )
        self.finish()

    def finish(self, replayed: StepValues | None = None) -> None:
        """Append the iteration that waits, if there is one, with what a replay of it gave."""
        step, self._pending = self._pending, None
        if step is None:
            return
        iteration = self._recording.n_iterations
        plan, row, values = step.plan, step.row, step.values
        series, kinds = list(step.series), list(step.kinds)
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
        if values.has_tensors:
            self._count_elements(iteration, series, values)
            self._retention.keep(iteration, row.epoch, series, kinds, values)
        else:
            self._retention.pass_over()
        self._recording.append(row)
        self.has_broken |= step.breaks
        self._retention.respond(iteration, row.loss, step.breaks)
        if self._observer is not None:
            self._observer(self._recording.header, row)
        self._budget.spend(time.perf_counter() - step.began)

    def end_epoch(self, n_steps: int) -> None:
        """Put into the header what the data looked like, once an epoch of so many steps is over.

        Further epochs show the same data again: they add to the summary only as long as it rests
        on fewer steps, which a schedule or a budget has left.
        """
        self._plans.update_data_summary()
        self._summarizes_data &= self._n_summarized < n_steps

    def let_go(self) -> None:
        """Hold no tensors any more."""
        self._retention.pass_over()

    def _allows(self, iteration: int) -> bool:
        return self._budget.allows() or iteration % ONE_MEASURED_OF == 0

    def _count_time(self, plan: Plan, moment: Moment) -> None:
        """Let the budget grow by how long a step took, but the first.

        Of it goes what was written meanwhile, beside the training: in a small one that takes a
        share of the processors that is worth counting.
        """
        writing_s, self._writing_s = self._writing_s, self._recording.writing_s
        self._budget.spend_beside(self._writing_s - writing_s)
        is_new = not any(plan is one for one in self._timed)
        if is_new:
            self._timed.append(plan)
        ended_s, self._ended_s = self._ended_s, moment.elapsed_s
        if ended_s is None:
            return
        duration_s = moment.elapsed_s - ended_s
        if is_new or moment.batch == 0:  # there was more than the step: it was compiled; validation
            duration_s = min(duration_s, self._duration_s)
        self._duration_s = duration_s
        self._budget.elapse(duration_s)

    def _stop(self) -> None:
        if not self.is_full:
            self.is_full = True
            message = f"the trace reached {self._options.max_bytes} bytes: no more is recorded"
            self._recording.event(EventName.LIMIT, message, {"max_bytes": self._options.max_bytes})

    def _measure(self, plan: Plan, values: StepValues, moment: Moment, began: float) -> _Step:
        iteration = self._recording.n_iterations
        allowed = self._allows(iteration) if values.is_allowed is None else values.is_allowed
        measured, rows = plan.measurement.measure(
            iteration, values, allowed, widens=not self.has_broken
        )
        if not values.is_loss_known:
            is_kept = measured != plan.loss
            measured, rows = measured[is_kept], rows[is_kept]
        self._summarize_data(plan, values, measured, rows)
        loss = float("nan")
        if plan.loss is not None and values.is_loss_known:
            loss = float(values.tensors[plan.loss].reshape(-1)[0])
        n_samples = -1
        if plan.first_input is not None:
            n_samples = next(iter(values.tensors[plan.first_input].shape), n_samples)
        row = Row(
            plan.series[measured],
            rows,
            moment.epoch,
            moment.batch,
            n_samples,
            loss,
            values.learning_rate,
            values.loss_scale,
            moment.elapsed_s,
        )
        breaks = self._breaks(plan, values, measured[nonfinite(rows)])
        return _Step(plan, plan.series.tolist(), plan.kinds, values, row, breaks, began)

    def _summarize_data(
        self,
        plan: Plan,
        values: StepValues,
        measured: NDArray[np.intp],
        rows: NDArray[np.int64],
    ) -> None:
        if not self._summarizes_data or not measured.size:
            return
        at = {k: i for i, k in enumerate(measured.tolist())}
        for k, summarizer in plan.data:
            if k in at:
                summarizer.add(values.tensors[k], rows[at[k]])
        self._n_summarized += 1
        if self._n_summarized in _SUMMARY_STEPS:
            self._plans.update_data_summary()

    def _breaks(self, plan: Plan, values: StepValues, broken: NDArray[np.intp]) -> bool:
        """Whether something is not finite for the first time."""
        if self.has_broken or not broken.size:
            return False
        # Else the loss scale is too large for this step, and will be lowered.
        return values.loss_scale == 1 or not {plan.kinds[k] for k in broken} <= _SCALED_KINDS

    def _wants_replay(self, step: _Step) -> bool:
        exact = self._options.exact
        if exact is None or step.plan.replay is None:
            return False
        return step.breaks or (
            is_due(exact, self._recording.n_iterations) and self._budget.allows()
        )

    def _wants_tensors(self, step: _Step) -> bool:
        if step.values.has_tensors:
            return False
        iteration = self._recording.n_iterations
        return self._counts_elements(iteration) or self._retention.wants(iteration, step.breaks)

    def _counts_elements(self, iteration: int) -> bool:
        due = self._options.histograms
        return due is not None and is_due(due, iteration) and self._budget.allows()

    def _count_elements(self, iteration: int, series: Sequence[int], values: StepValues) -> None:
        if self._counts_elements(iteration):
            counted = histograms_of(iteration, series, values.tensors, values.minus)
            self._recording.append_histograms(counted)


def _with_replay(row: Row, plan: Plan, values: StepValues) -> Row:
    _, rows = plan.measurement.measure(0, values, allowed=True, widens=False)
    return replace(
        row,
        series=np.concatenate([row.series, plan.series]),
        statistics=np.concatenate([row.statistics, rows]),
    )
