"""Which tensors of a training are kept in full: those of the last iterations, of the first, or all.

The ring holds the last iterations in memory and is written where something breaks; the opening is
what training on the first batches again takes; a schedule may ask for everything.
"""

import sys
from collections.abc import Sequence

from deeplocalize.traces.interface import Tensor
from deeplocalize.traces.schema import EventName, Kind

from .opening import OpeningBatches
from .options import Options
from .recording import Recording
from .ring import Ring
from .schedule import is_due
from .step_values import StepValues
from .warning import warn


class Retention:
    """Keeps tensors of one step after another.

    Parameters
    ----------
    recording
        Where they are written.
    options
        Those on full tensors, the ring and its trigger.
    """

    def __init__(self, recording: Recording, options: Options) -> None:
        self._recording = recording
        self._schedule = options.tensors
        self._trigger = options.trigger
        has_ring = options.ring_bytes > 0 and options.n_in_ring != 0
        self._ring = Ring(options.ring_bytes, options.n_in_ring) if has_ring else None
        self._ring_bytes = options.ring_bytes
        if self._trigger is not None and not has_ring:
            message = "trigger has nothing to store: the ring is switched off"
            recording.event(EventName.NOTE, message)
            warn(f"deeplocalize: {message}")
        opening = recording.header.opening
        self._opening = None if opening is None else OpeningBatches(opening)

    def is_due(self, iteration: int) -> bool:
        """Whether all tensors of an iteration are wanted."""
        return self._schedule is not None and is_due(self._schedule, iteration)

    def n_steps_kept(self, n_bytes: int) -> int:
        """How many of the latest steps are to be had in full, if each takes so many bytes."""
        if self._opening is not None:
            return sys.maxsize
        return 0 if self._ring is None else self._ring.n_held(n_bytes)

    def wants(self, iteration: int, breaks: bool) -> bool:
        """Whether `keep` or `respond` may write tensors of an iteration, which costs to get them.

        The ring is filled for a trigger, which needs iterations before it. Else it gets only the
        one that breaks.
        """
        is_for_ring = self._ring is not None and (breaks or self._trigger is not None)
        return is_for_ring or self._opening is not None or self.is_due(iteration)

    def pass_over(self) -> None:
        """Keep nothing of an iteration, nor of those before it: the ring has no gaps."""
        if self._ring is not None:
            self._ring.clear()

    def keep(
        self,
        iteration: int,
        epoch: int,
        series: Sequence[int],
        kinds: Sequence[Kind],
        values: StepValues,
    ) -> None:
        """Write the step's tensors where they are due, else hold them in the ring."""
        due = self.is_due(iteration)
        ring = Ring(sys.maxsize) if due else self._ring
        if ring is not None:
            ring.push(iteration, series, values)
            if due:
                self._recording.append_tensors(ring.drain())
        if self._opening is not None:
            kept = self._opening.tensors(iteration, epoch, series, kinds, values)
            self._recording.append_tensors(() if due else kept)  # once is enough
            self._end_opening(self._opening)

    def _end_opening(self, opening: OpeningBatches) -> None:
        if opening.is_over:
            self._opening = None
            if opening.note:
                self._recording.event(EventName.NOTE, opening.note)

    def respond(self, iteration: int, loss: float, breaks: bool) -> None:
        """Write out the ring where something is not finite for the first time, or is triggered.

        To be called once the iteration is recorded.
        """
        is_triggered = self._trigger is not None and is_due(self._trigger, iteration, loss)
        if breaks:
            self._write_ring(iteration, "not finite for the first time")
            self._ring = None  # what follows is broken anyway
            self._trigger = None
        elif is_triggered and self._ring is not None:
            self._write_ring(iteration, "triggered")

    def _write_ring(self, iteration: int, why: str) -> None:
        tensors: list[Tensor] = [] if self._ring is None else self._ring.drain()
        self._recording.append_tensors(tensors)
        kept = {tensor.iteration for tensor in tensors}
        if self.is_due(iteration):
            kept.add(iteration)
        first = min(kept, default=iteration)
        if not kept:
            why_none = "the ring is switched off"
            if self._ring is not None:
                why_none = f"a step before it, or it, takes more than ring_bytes={self._ring_bytes}"
            told = f"no tensors are kept in full: {why_none}"
        elif first == iteration:
            told = "its tensors are kept in full"
        else:
            told = f"tensors of iterations {first} to {iteration} are kept in full"
        message = f"{why} at iteration {iteration}; {told}"
        details = {"first_iteration": first, "kept": sorted(kept)}
        self._recording.event(EventName.ANOMALY, message, details)
