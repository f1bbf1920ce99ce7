"""Steps that wait within TensorFlow until Python takes several at once.

Python is what costs most in a small step: it takes several times as long between two steps as it
does when it has just run. So operations without Python (`tensorflow_operations.py`) end each step,
and one call records some of them. While steps go on none waits long, and the first that is not
finite does not wait at all.
"""

import contextlib
import itertools
import threading
from typing import Any

from ..session import Session
from ..thinning import Thinning
from ..warning import RefusalError
from .tensorflow_c_api import library
from .tensorflow_form import WaitingForm
from .tensorflow_operations import register, takers
from .tensorflow_records import QUEUE, record
from .tensorflow_step import TracedStep
from .train_function import TrainFunction

_ids = itertools.count()


class LostStepError(RefusalError):
    """Steps were not taken in time, for Python was interrupted while it took some."""


class StepQueue:
    """The steps of one session that wait within TensorFlow.

    Parameters
    ----------
    session
        Takes them: at least when it is asked for anything that depends on them.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._forms: list[WaitingForm] = []
        register()
        self._id = next(_ids)
        self._array = record(QUEUE, id=self._id, is_open=1, watches=1)
        self._thinning = Thinning(session.budget)
        self._array["n_to_measure"] = self._thinning.n_to_measure
        self._began_ns: int | None = None
        self._record = self._array[0]
        self._raised: BaseException | None = None
        self._lock = threading.RLock()
        self._taker: int | None = None
        takers[self._id] = self._take_within_step
        session.take_from(self)

    def end_step(self, step: TracedStep) -> None:
        """End the step that is being traced with operations that put it into this queue."""
        form = WaitingForm(step, self._array, len(self._forms))
        form.hold(self._session.n_steps_kept(form.least_bytes))
        form.end_step()
        self._forms.append(form)

    def taking_within(self, train_function: TrainFunction) -> TrainFunction:
        """A train function whose steps come here; another thread takes none while they run."""

        def train(data: Any) -> Any:
            with self._lock:
                try:
                    return train_function(data)
                finally:
                    self._raise_interrupt()

        return train

    def take(self) -> None:
        """Have the session record all steps that wait."""
        with self._undisturbed():
            self._take()

    def _take(self) -> None:
        queue, n = self._record, int(self._record["n_steps"])
        if n == 0:
            return
        taking_ns = library().TF_NowNanos()
        form, watches = self._forms[queue["form"]], bool(queue["watches"])
        waiting, ended_ns = form.waiting, form.waiting.ended_ns(n)
        durations_s = waiting.durations_s(n, self._began_ns)
        self._thinning.spend(waiting.are_measured(n), durations_s, queue["spent_ns"] / 1e9)
        queue["n_steps"] = queue["n_bytes"] = queue["spent_ns"] = 0
        with self._session.budget.spending():
            n_bytes = waiting.n_bytes(n)
            for steps, is_wanted in waiting.stretches(n, watches):
                if not is_wanted:
                    self._session.left_out(form.plan, waiting.numbers(steps))
                    continue
                for values, age_s in waiting.values(steps, watches):
                    if self._session.step(form.plan, values, age_s):
                        self._session.nothing_more()
            form.hold(self._session.n_steps_kept(n_bytes))
        self._thinning.choose()
        queue["n_to_skip"] = self._thinning.n_to_skip
        queue["n_to_measure"] = self._thinning.n_to_measure
        queue["watches"] = self._session.watches
        queue["is_open"] = is_open = self._session.takes_steps
        if not is_open:
            self._let_go()  # of a step of another form, which has these taken before it ends
        queue["since_ns"] = now_ns = library().TF_NowNanos()
        # Where steps of another form are to wait, one of them has run already.
        self._began_ns = ended_ns + now_ns - taking_ns
        if queue["has_lost"]:
            queue["has_lost"] = 0
            raise LostStepError("a step found no room beside those that wait to be recorded")

    def close(self) -> None:
        """Take no more steps."""
        with self._undisturbed():
            self._record["is_open"] = 0
            takers.pop(self._id, None)
            self._let_go()
            self._forms.clear()

    def _let_go(self) -> None:
        for form in self._forms:
            form.let_go()

    def _undisturbed(self) -> contextlib.AbstractContextManager[Any]:
        # A step that has its queue taken waits for that, and holds the lock.
        if self._taker == threading.get_ident():
            return contextlib.nullcontext()
        return self._lock

    def _raise_interrupt(self) -> None:
        """Raise what interrupted Python while it took steps, where it could not be raised."""
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised

    def _take_within_step(self) -> None:
        self._taker = threading.get_ident()
        try:
            self._take()
        except Exception as error:  # the outermost tap: it must not reach the training
            self._session.failed(error)
        except BaseException as error:  # Ctrl-C: this is C code's callback, and would swallow it
            self._raised = error
        finally:
            self._taker = None
