"""From the tensors of each step to the rows of one trace: what every framework shares.

A session is one training run being recorded. A backend announces the tensors of a step once
(`Session.plan`) and hands over their values each time the step ran (`Session.step`). Nothing
here raises into the training: the first error ends the recording with one warning.
"""

import contextlib
import sys
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
from .opening import OpeningBatches
from .plan import Plan, Plans
from .recording import Recording, Row
from .ring import DEFAULT_BYTES, Ring
from .schedule import Schedule, always, described, name_of, schedule_of
from .step_values import StepValues

Observer = Callable[[Header, Row], None]
"""Is shown a row of the trace and the header as it is then; what it raises ends the recording."""

# A training killed in its first epoch is to leave a summary, too.
_SUMMARY_ITERATIONS = {16**k for k in range(8)}
_SCALED_KINDS = {Kind.OUTPUT_GRADIENT, Kind.PREACTIVATION_GRADIENT, Kind.WEIGHT_GRADIENT}


@dataclass(frozen=True)
class Options:
    """What is recorded, as `Recorder` documents it."""

    schedule: Schedule | Mapping[str, Schedule] | None = None
    tensors: Schedule | None = None
    ring_bytes: int = DEFAULT_BYTES
    trigger: Callable[[int, float], bool] | None = None
    budget: float | None = None
    max_bytes: int | None = None
    exact: Schedule | None = None
    histograms: Schedule | None = None

    def described(self) -> dict[str, Any]:
        """What the header says of when and how much was recorded."""
        return {
            "statistics": name_of(self.schedule or always),
            "tensors": name_of(self.tensors),
            "histograms": name_of(self.histograms),
            "ring_bytes": self.ring_bytes,
            "budget": self.budget,
            "max_bytes": self.max_bytes,
            "exact": name_of(self.exact),
        }


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
        self._ring = Ring(options.ring_bytes) if options.ring_bytes else None
        self._budget = Budget(options.budget) if options.budget is not None else None
        opening = header.opening
        self._opening = None if opening is None else OpeningBatches(opening)
        self._has_broken = False
        self._is_full = False
        self._observer = observer
        self._plans = Plans(self._recording, options.schedule)
        self._summarizes_data = True
        self._n_scheduled = 0
        self._schedules: set[Schedule] = set()
        self._epoch = 0
        self._batch = 0
        self._lock = threading.Lock()
        self._pending: _Step | None = None
        self._replay_is_refused = False
        if options.exact is not None:
            self._note_exact(described(options.exact))
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
        iteration = self._recording.n_iterations
        series, layer_of = self._recording.header.series, self._recording.header.layer_of
        if not series or (self._options.tensors is not None and self._options.tensors(iteration)):
            return True
        if self._budget is not None and not self._budget.allows():
            return False
        if len(series) != self._n_scheduled:
            self._n_scheduled = len(series)
            self._schedules = {schedule_of(s, layer_of(s), self._options.schedule) for s in series}
        return any(schedule(iteration) for schedule in self._schedules)

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
        self._note_exact(message)
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
        if self._summarizes_data and iteration in _SUMMARY_ITERATIONS:
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
        row, series, values = step.row, step.plan.series, step.values
        if replayed is not None:
            assert step.plan.replay is not None
            row = _with_replay(row, step.plan.replay, replayed)
            series = np.concatenate([series, step.plan.replay.series])
            values = replace(
                values,
                tensors=[*values.tensors, *replayed.tensors],
                minus=[*values.minus, *replayed.minus],
            )
        self._count_elements(iteration, series, values)
        is_kept = self._keep_tensors(iteration, series, values)
        if self._opening is not None:
            self._keep_opening(self._opening, iteration, step, is_kept)
        self._recording.append(row)
        self._respond(iteration, row.loss, step.breaks)
        if self._observer is not None:
            self._observer(self._recording.header, row)
        if self._budget is not None:
            self._budget.spend(time.perf_counter() - step.began)

    def _count_elements(self, iteration: int, series: NDArray[np.intp], values: StepValues) -> None:
        due = self._options.histograms
        if due is not None and due(iteration) and self._is_within_budget():
            counted = histograms_of(iteration, series.tolist(), values.tensors, values.minus)
            self._recording.append_histograms(counted)

    def _keep_tensors(self, iteration: int, series: NDArray[np.intp], values: StepValues) -> bool:
        """Write full tensors where the schedule says so (true), else hold them in the ring."""
        due = self._options.tensors is not None and self._options.tensors(iteration)
        ring = Ring(sys.maxsize) if due else self._ring
        if ring is None:
            return False
        lasting = due or values.lasting
        ring.push(iteration, series.tolist(), values.tensors, values.minus, lasting)
        if due:
            self._recording.append_tensors(ring.drain())
        return due

    def _keep_opening(
        self, opening: OpeningBatches, iteration: int, step: _Step, is_kept: bool
    ) -> None:
        """Write what training on this step's batch again takes, unless it is written already."""
        plan = step.plan
        kept = opening.tensors(
            iteration, step.row.epoch, plan.series.tolist(), plan.kinds, step.values
        )
        self._recording.append_tensors(() if is_kept else kept)
        if opening.is_over:
            self._end_opening(opening)

    def _end_opening(self, opening: OpeningBatches) -> None:
        self._opening = None
        if opening.note:
            self._recording.event(EventName.NOTE, opening.note)

    def _respond(self, iteration: int, loss: float, breaks: bool) -> None:
        """Write out the ring where something is not finite for the first time, or is triggered."""
        trigger = self._options.trigger
        if trigger is not None and trigger(iteration, loss):
            self._write_ring("triggered")
        if breaks:
            self._has_broken = True
            self._write_ring("not finite for the first time")
            self._ring = None  # what follows is broken anyway

    def _write_ring(self, why: str) -> None:
        if self._ring is None:
            return
        tensors = self._ring.drain()
        self._recording.append_tensors(tensors)
        first = min((t.iteration for t in tensors), default=-1)
        last = self._recording.n_iterations - 1
        message = (
            f"{why} at iteration {last}; tensors of iterations {first} to {last} are kept in full"
        )
        if tensors:
            self._recording.event(EventName.ANOMALY, message, {"first_iteration": first})

    def _note_exact(self, text: str) -> None:
        header = self._recording.header
        self._recording.set_header(replace(header, schedule={**header.schedule, "exact": text}))


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
