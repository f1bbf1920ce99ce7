"""Record and analyse while training: `DeepLocalize` stops a training at its first fault.

The one module that uses both the recorder and the analyzer. The rules are the analyzer's. A
symptom counts as soon as it has lasted for its rule's patience. What takes the whole run to judge
(does the loss decrease at all?) is judged when it ends, and stops nothing.
"""

import contextlib
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from deeplocalize.analyzer import Diagnosis, analyze
from deeplocalize.analyzer.conclusion import conclude
from deeplocalize.analyzer.engine import Evidence, Replay, evidence_of, merge_evidence, no_evidence
from deeplocalize.analyzer.findings import CURVE_SYMPTOMS, Finding, find, first_of_the_worst
from deeplocalize.analyzer.localization import FirstFault
from deeplocalize.analyzer.rules import RULES
from deeplocalize.analyzer.rules.view import Values
from deeplocalize.analyzer.watch import Watch, baseline, watches
from deeplocalize.traces.header import Header
from deeplocalize.traces.schema import NONFINITE, STATISTICS

from . import Recorder
from .row import Row, block_of
from .schedule import Schedule
from .step_recording import Observer
from .warning import warn

N_CHUNK_ITERATIONS = 20
"""Rules are judged this often; a value that is not finite is looked at in the same iteration."""

_NONFINITE = [i for i, column in enumerate(STATISTICS) if column.name in NONFINITE]


class DeepLocalize(Recorder):
    """Watches a training, stops it at the first fault and prints where it is.

    A callback for ``fit`` of Keras and of the NumPy network. Like `Recorder` it leaves the
    numbers of the training as they are, up to the batch after which it stops.

    ``DeepLocalize(path="run.h5")`` keeps the trace; ``DeepLocalize()`` writes it to a temporary
    directory and removes it in the end. The original's five arguments (of which ``startTime`` is
    spelled as there) are accepted and not looked at: the model in training knows better.

    Parameters
    ----------
    path
        Where to keep the trace, as for `Recorder`.
    overwrite, tensors
        As for `Recorder`.

    Raises
    ------
    TraceError
        As for `Recorder`.
    """

    @overload
    def __init__(
        self,
        *,
        path: str | Path | None = None,
        overwrite: bool = False,
        tensors: Schedule | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        inputs: Any,
        outputs: Any,
        layer_number: Any,
        batch_size: Any,
        startTime: Any,  # noqa: N803  # the original's spelling
        *,
        path: str | Path | None = None,
        overwrite: bool = False,
        tensors: Schedule | None = None,
    ) -> None: ...

    def __init__(
        self,
        inputs: Any = None,
        outputs: Any = None,
        layer_number: Any = None,
        batch_size: Any = None,
        startTime: Any = None,  # noqa: N803
        *,
        path: str | Path | None = None,
        overwrite: bool = False,
        tensors: Schedule | None = None,
    ) -> None:
        self._keeps_trace = path is not None
        self._stops = False
        if path is None:
            directory = tempfile.mkdtemp(prefix="deeplocalize-")
            weakref.finalize(self, shutil.rmtree, directory, ignore_errors=True)
            path = Path(directory) / "run.h5"
        self.diagnosis: Diagnosis | None = None
        """What the latest ``fit`` showed; None before its end."""
        super().__init__(path, overwrite=overwrite, tensors=tensors)

    def observer(self) -> Observer:
        """A new watch for each ``fit``."""
        self.diagnosis = None
        self._stops = False
        watch = FaultWatch()

        def observe(header: Header, row: Row) -> None:
            if watch.add(header, row) is not None:
                self._stops = self.model.stop_training = True

        return observe

    def on_trace_closed(self) -> None:
        """Analyse the whole trace, and print what it shows."""
        try:
            self.diagnosis = analyze(self.path)
            print(self._report(self.diagnosis), flush=True)
        except Exception as error:  # the outermost tap: nothing of ours may end a training
            warn(f"deeplocalize: no diagnosis ({error})")
        if not self._keeps_trace:
            with contextlib.suppress(OSError):
                self.path.unlink()

    def _report(self, diagnosis: Diagnosis) -> str:
        title = "DeepLocalize stopped the training." if self._stops else "DeepLocalize:"
        lines = [f"{title} {conclude(diagnosis)}"]
        if diagnosis.first_fault is not None:
            lines += _fault_lines(diagnosis.first_fault)
        for suspect in diagnosis.suspects[:1]:
            lines.append(f"  cause: {suspect.cause} ({suspect.layer or suspect.target})")
            lines.append("  try:   " + suspect.fix.replace("\n", "\n         "))
        if self._keeps_trace:
            lines.append(f"  trace: {self.path} (deeplocalize-analyze {self.path})")
        return "\n".join(lines)


class FaultWatch:
    """The analyzer's evidence, gathered row by row while a training runs."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._n_judged = 0
        self._n_series = -1
        self._watches: Sequence[Watch] = ()
        self._baseline: Values = np.empty(0)
        self._evidence: Evidence | None = None

    def add(self, header: Header, row: Row) -> Finding | None:
        """The first fault there is, if this row completes the evidence of one."""
        self._rows.append(row)
        is_finite = not row.statistics[:, _NONFINITE].any()
        if is_finite and len(self._rows) < N_CHUNK_ITERATIONS:
            return None
        return self._judge(header)

    def _judge(self, header: Header) -> Finding | None:
        block = block_of(self._rows, self._n_judged, len(header.series))
        if len(header.series) != self._n_series:
            # A step of another form has brought new tensors: begin again, with them.
            self._n_series = len(header.series)
            self._watches = watches(header, RULES)
            self._baseline = baseline(header, block)
            self._evidence = no_evidence(header, self._watches)
        assert self._evidence is not None
        chunk = evidence_of(
            header, self._watches, self._baseline, block, self._evidence.last_recorded
        )
        self._evidence = merge_evidence(self._watches, self._evidence, chunk)
        self._n_judged += len(self._rows)
        self._rows = []
        findings = find(Replay(header, tuple(self._watches), self._evidence))
        return first_of_the_worst(f for f in findings if f.symptom not in CURVE_SYMPTOMS)


def _fault_lines(fault: FirstFault) -> list[str]:
    return [
        f"  layer: {str(fault.layer or 'none in particular').removeprefix('layer ')}",
        f"  batch: {fault.moment.batch} of epoch {fault.moment.epoch} "
        f"(iteration {fault.moment.iteration})",
        f"  kind:  {fault.place.kind} ({fault.symptom}, {fault.phase} phase)",
    ]
