"""The diagnosis of a run: rich data, of which every report is a function."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from deeplocalize.traces.interface import TraceReader

from .causes import Case, Suspect, infer
from .chain import growths
from .checks import CHECKS, Facts
from .conclusion import conclude
from .coverage import Coverage, coverage_of
from .document import document_of
from .ends import read_ends
from .engine import Progress, Replay, replay
from .epochs import epochs_of
from .excuse import excused
from .findings import CURVE_SYMPTOMS, Finding, find, first_of_the_worst, order
from .guilty import guilty_rows
from .localization import FirstFault, locate
from .notebook import diagnosis_html, findings_frame
from .operation import largest_finite
from .outcome import LONG_ENOUGH, Outcome, outcome_of
from .outlier import CONSEQUENCES, find_outlier
from .program import program_of
from .rates import Rates, rates_of
from .rules import CURVE_RULES
from .rules.rule import Severity, Symptom
from .run import Ending, Run, run_of
from .sightings import look
from .stray import find_stray
from .trial import Verification
from .verdict import LEAST_CONFIDENCE
from .verdict import Verdict as Verdict
from .window import read_window

SCHEMA = 1

# Fewer iterations show whether something is non-finite, and nothing else.
MIN_ITERATIONS = 20

# Notices of single tensors are common in good runs, and only support a suspect.
_NOTED = frozenset({*(check.name for check in CHECKS), *(rule.name for rule in CURVE_RULES)})


# What the program says, however early its run breaks.
_WRITTEN = frozenset({Symptom.OPTIMIZER_SETTINGS, Symptom.NEGATIVE_RATES})

# Of targets of this size a distance overflows in float32, whatever the network answers.
_UNSQUARABLE = math.sqrt(largest_finite("float32"))


@dataclass(frozen=True)
class Diagnosis:
    """What a trace says about its run.

    Attributes
    ----------
    verdict
        Faulty if and only if there is a first fault.
    needs
        What would allow a verdict, where it is unknown; else empty.
    first_fault
        Where and when it first went wrong, with the chain around it.
    suspects
        What may have caused it, most likely first.
    findings
        Every symptom seen, in the order of (onset, position), notices included.
    coverage
        What the verdict rests on.
    run
        The run itself and how it ended.
    doubt
        What a healthy verdict leaves open: why nobody can tell whether the run learned; else empty.
    verification
        What came of replaying the recorded batches; None: nobody asked.
    """

    verdict: Verdict
    needs: str
    first_fault: FirstFault | None
    suspects: tuple[Suspect, ...]
    findings: tuple[Finding, ...]
    coverage: Coverage
    run: Run
    doubt: str = ""
    verification: Verification | None = None

    @property
    def notes(self) -> tuple[Finding, ...]:
        """What is worth knowing about the program or its curves though it is no fault."""
        return tuple(
            finding
            for finding in self.findings
            if finding.severity is Severity.NOTICE and finding.rule in _NOTED
        )

    def __repr__(self) -> str:
        return f"<Diagnosis: {self.verdict}. {conclude(self)}>"

    def _repr_html_(self) -> str:
        return diagnosis_html(self)

    def to_dict(self) -> dict[str, Any]:
        """The JSON contract as plain data: strings, finite numbers, lists, dictionaries, None."""
        return document_of(self, SCHEMA)

    def to_json(self) -> str:
        """The JSON contract as strict JSON text, indented."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def to_frame(self) -> pd.DataFrame:
        """The findings, one row each, in the order of (onset, position in the step)."""
        return findings_frame(self.findings)


def diagnose(reader: TraceReader, source: str = "", progress: Progress | None = None) -> Diagnosis:
    """Replay a trace and say what is wrong with its run.

    Parameters
    ----------
    source
        Where the trace came from, for the report.
    progress
        Called with the iterations done and their total.

    Raises
    ------
    TraceError
        The trace cannot be read.
    """
    return diagnosis_of(replay(reader, progress), reader, source)


def diagnosis_of(
    replayed: Replay, reader: TraceReader, source: str = "", is_followed: bool = False
) -> Diagnosis:
    """Say what is wrong with a run whose trace has been replayed.

    Parameters
    ----------
    is_followed
        Whether a run without a recorded end is still going on: what it will come to is open.

    Raises
    ------
    TraceError
        The trace cannot be read.
    """
    seen = find(replayed)
    run = run_of(reader, source)
    is_going_on = is_followed and run.ending is Ending.NOT_RECORDED
    facts = _facts(replayed, reader, seen, is_whole=run.is_whole and not is_going_on)
    exception = run.ending_message if run.ending is Ending.EXCEPTION else ""
    facts = replace(facts, ending=exception, is_cut_short=run.is_cut_short)
    seen = excused(seen, facts.outcome)
    findings = tuple(sorted((*seen, *look(facts)), key=order))
    coverage = coverage_of(replayed)
    first = first_of_the_worst(findings)
    if first is not None and reader.n_iterations:
        window = read_window(reader, first.onset)
        at = _thrown_over_at(first, findings)
        outlier = None if at is None else find_outlier(reader, at)
        fault = locate(reader.header, first, findings, window, outlier)
        if first.symptom is Symptom.NON_FINITE:
            rows = guilty_rows(reader, fault.moment.iteration, fault.place.series)
            fault = replace(fault, rows=rows)
        grown = growths(window, fault.place.position)
        case = Case(reader.header, _telling(findings), fault, grown, outlier, facts)
        suspects = infer(case)
        if first.symptom not in CURVE_SYMPTOMS or suspects[0].confidence >= LEAST_CONFIDENCE:
            return Diagnosis(Verdict.FAULTY, "", fault, suspects, findings, coverage, run)
    needs = _needs(coverage, run, facts.outcome)
    if needs:
        return Diagnosis(Verdict.UNKNOWN, needs, None, (), findings, coverage, run)
    doubt = facts.outcome.doubt
    return Diagnosis(Verdict.HEALTHY, "", None, (), findings, coverage, run, doubt)


def _thrown_over_at(first: Finding, findings: Sequence[Finding]) -> int | None:
    """When it showed that something threw the weights over, if anything did.

    That is the first fault, or where this is a matter of the whole run, the first such harm.
    """
    harmful = [f for f in findings if f.severity >= Severity.SEVERE and f.symptom in CONSEQUENCES]
    shown = [first] if first.is_dated else harmful
    return min((f.onset for f in shown if f in harmful), default=None)


def _telling(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Findings that can tell a cause: what a network does after it broke follows from that."""
    broken_at = _broken_at(findings)
    return tuple(
        finding
        for finding in findings
        if broken_at is None
        or finding.severity is Severity.FATAL
        or finding.onset < broken_at
        or finding.symptom in _WRITTEN
        or (finding.symptom is Symptom.TARGET_NOT_SCALED and finding.peak > _UNSQUARABLE)
    )


def _broken_at(findings: Sequence[Finding]) -> int | None:
    """The first iteration in which something turned non-finite and stayed so, if any."""
    return min((f.onset for f in findings if f.severity is Severity.FATAL), default=None)


def _facts(replayed: Replay, reader: TraceReader, seen: Sequence[Finding], is_whole: bool) -> Facts:
    program, epochs = program_of(replayed.header), epochs_of(reader)
    is_broken = any(finding.severity is Severity.FATAL for finding in seen)
    outcome = outcome_of(replayed, epochs, is_broken)
    if not is_whole:
        outcome = outcome.so_far()
    severe = [f for f in excused(seen, outcome) if f.severity is Severity.SEVERE]
    outcome = replace(outcome, is_hurt=bool(severe))
    went_badly = outcome.is_harmed or outcome.is_little
    return Facts(
        program,
        read_ends(reader, _broken_at(seen)),
        outcome,
        epochs,
        rates_of(reader) if went_badly else Rates(),
        find_stray(reader) if went_badly and not (is_broken or outcome.is_fine) else None,
        replayed.evidence.has_few_batches,
    )


def _needs(coverage: Coverage, run: Run, outcome: Outcome) -> str:
    """What is missing for a verdict; empty if nothing is."""
    if coverage.n_iterations == 0:
        if run.ending is Ending.EXCEPTION:
            return "a run that gets through its first step, which this one left by an exception"
        return "a trace with at least one recorded iteration"
    if coverage.n_covered < MIN_ITERATIONS:
        there = f"{coverage.n_recorded} show only that everything stayed finite"
        if coverage.n_recorded < coverage.n_iterations:
            there = (
                f"of {coverage.n_iterations} there are {coverage.n_recorded or 'none'}; the others "
                "were only watched, and nothing was seen that is not finite"
            )
        return f"at least {MIN_ITERATIONS} recorded iterations; {there}"
    if run.ending is Ending.EXCEPTION:
        return "a run that does not stop with an exception; nothing recorded before it is wrong"
    if run.ending is Ending.FAILED or not run.is_whole:
        return "a recording of the whole run; this one ended early, and all is well up to there"
    if outcome.is_unfinished:
        return (
            f"a longer run: this one ended after {outcome.n_iterations} steps while its loss was "
            f"still falling, and had come to little ({outcome})"
        )
    if outcome.is_little_yet:
        return (
            f"a longer run: this one shows no fault, but ended after {outcome.n_iterations} steps "
            f"{outcome.comparison} always answering the same ({outcome}); whether a run learns is "
            f"not judged in less than {LONG_ENOUGH}"
        )
    if outcome.is_little:
        return (
            f"a run that learns: this one is {outcome.comparison} always answering the same "
            f"({outcome}), and nothing that was recorded says why. Look first at the code: what a "
            "loss, a layer or a training step of your own computes, what layers add to the loss, "
            "how the optimizer is set, and whether inputs and targets still belong together. If "
            "the model learns a few samples by heart, none of these stops it, and the targets may "
            "not follow from the inputs"
        )
    return ""
