"""The report for a person at a terminal: the conclusion first, 80 columns, calm."""

from collections.abc import Iterable
from io import StringIO

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from deeplocalize.traces.interface import TraceReader

from ..causes import Suspect
from ..chain import Link, Relation
from ..conclusion import conclude, elsewhere, ending
from ..coverage import Coverage
from ..diagnosis import Diagnosis
from ..findings import Finding
from ..localization import FirstFault
from ..rules.rule import Severity, Symptom
from ..text import visible
from ..trial import Status
from ..verdict import Verdict
from .style import PLAIN, Style

WIDTH = 80
MAX_EVIDENCE = 4
MAX_MISSING = 5
MAX_NOTES = 3

_SEVERITIES = {Severity.FATAL: "red", Severity.SEVERE: "yellow", Severity.NOTICE: ""}
_STYLES = {Verdict.FAULTY: "bold red", Verdict.HEALTHY: "bold green", Verdict.UNKNOWN: "bold"}
_TRIALS = {Status.VERIFIED: "green", Status.REFUTED: "red"}


def render(diagnosis: Diagnosis, reader: TraceReader, style: Style = PLAIN) -> str:
    """The diagnosis as text; colours only mark severity, a verbose style adds the findings."""
    del reader
    output = StringIO()
    console = Console(
        file=output,
        width=WIDTH,
        force_terminal=style.colour,
        color_system="standard" if style.colour else None,
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=False,
    )
    for part in _parts(diagnosis, style.verbose):
        console.print(part)
    return "\n".join(line.rstrip() for line in output.getvalue().splitlines()) + "\n"


def _parts(diagnosis: Diagnosis, is_verbose: bool) -> Iterable[RenderableType]:
    yield _text(conclude(diagnosis), _STYLES[diagnosis.verdict])
    if diagnosis.first_fault is not None:
        yield from _fault_parts(diagnosis.first_fault, elsewhere(diagnosis))
        yield from _section("Suspects", _suspects(diagnosis.suspects, is_verbose))
    if diagnosis.verification is not None:
        verified = str(diagnosis.verification), diagnosis.verification.conclusion
        yield from _section("What if", Group(*(_text(line) for line in verified if line)))
    if diagnosis.notes and not is_verbose:
        yield from _section("Worth knowing", _notes(diagnosis.notes))
    if diagnosis.findings and is_verbose:
        yield from _section("Findings", _findings(diagnosis.findings))
    yield from _section("What this rests on", _basis(diagnosis, is_verbose))
    yield _text("")
    yield _text(ending(diagnosis.run))
    notes = diagnosis.run.notes
    for note in notes if is_verbose else notes[:MAX_NOTES]:
        yield _text(f"Note of the recorder: {note}")


def _fault_parts(fault: FirstFault, elsewhere: str) -> Iterable[RenderableType]:
    if fault.hint:
        yield _text(f"Most likely: {fault.hint}.")
    if fault.caveat:
        yield _text(fault.caveat)
    if elsewhere:
        yield _text(elsewhere)
    yield from _section("What happened", _chain(fault.chain))
    if fault.rows is not None:
        yield Padding(_text(str(fault.rows)), (0, 0, 0, 2))


def _section(title: str, content: RenderableType) -> Iterable[RenderableType]:
    yield _text("")
    yield _text(title, "bold")
    yield Padding(content, (0, 0, 0, 2))


def _chain(links: Iterable[Link]) -> RenderableType:
    table = _grid()
    table.add_column(justify="right")
    table.add_column()
    table.add_column()
    for link in links:
        style = "bold" if link.relation is Relation.AT else ""
        table.add_row(
            _text(str(link.iteration), style),
            _text(link.relation.word, style),
            _text(link.sentence, style),
        )
    return table


def _suspects(suspects: Iterable[Suspect], is_verbose: bool) -> RenderableType:
    table = _grid()
    for rank, suspect in enumerate(suspects, 1):
        subject = suspect.layer or suspect.target
        lines = [_text(f"{suspect.cause} ({subject}), confidence {suspect.confidence:.0%}", "bold")]
        if suspect.trial is not None:
            lines.append(_text(str(suspect.trial), _TRIALS.get(suspect.trial.status, "")))
        evidence = suspect.evidence if is_verbose else suspect.evidence[:MAX_EVIDENCE]
        lines += [_text(f"- {sentence}") for sentence in evidence]
        if len(evidence) < len(suspect.evidence):
            lines.append(_text(f"- and {len(suspect.evidence) - len(evidence)} more"))
        lines += [_text(f"{line}") for line in _fix(suspect.fix)]
        table.add_row(_text(f"{rank}."), Group(*lines))
    return table


def _fix(fix: str) -> list[str]:
    first, *others = fix.split("\n")
    return [f"Try: {first}", *(f"  {line}" for line in others)]


def _notes(notes: Iterable[Finding]) -> RenderableType:
    return Group(*(_text(f"- {note}") for note in notes))


def _findings(findings: Iterable[Finding]) -> RenderableType:
    table = Table(box=None, pad_edge=False, show_edge=False)
    for title in ("since", "iterations"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("severity")
    table.add_column("what", overflow="fold")
    for finding in findings:
        table.add_row(
            _text(str(finding.onset)),
            _text(f"{finding.n_holding}/{finding.n_judged}"),
            _text(finding.severity.name.lower(), _SEVERITIES[finding.severity]),
            _text(f"{finding}{_measured(finding)}"),
        )
    return table


def _measured(finding: Finding) -> str:
    if finding.symptom is Symptom.NON_FINITE:
        return ""
    return f"; {finding.quantity}: {finding.peak:.4g}"


def _basis(diagnosis: Diagnosis, is_verbose: bool) -> RenderableType:
    coverage = diagnosis.coverage
    kinds = ", ".join(f"{count} {kind}" for kind, count in coverage.n_series.items())
    rows = [
        ("recorded", f"{coverage.extent}; {kinds}"),
        ("checked for", ", ".join(coverage.judged) or "nothing"),
    ]
    if coverage.opening:
        rows.append(("kept for --verify", coverage.opening))
    rows += [
        ("not judged", f"{', '.join(rules)} (for want of {needs})")
        for needs, rules in coverage.unjudged_by_need.items()
    ]
    rows += [("not recorded", entry) for entry in _missing(coverage, is_verbose)]
    if coverage.replay is not None:
        rows.append(("replayed", str(coverage.replay)))
    if diagnosis.findings and not is_verbose:
        rows.append(("findings", f"{len(diagnosis.findings)} in all; --verbose lists them"))
    table = _grid()
    for name, value in rows:
        table.add_row(_text(name), _text(value))
    return table


def _missing(coverage: Coverage, is_verbose: bool) -> list[str]:
    shown = coverage.missing if is_verbose else coverage.missing[:MAX_MISSING]
    hidden = len(coverage.missing) - len(shown)
    lines = [f"{entry.kind} of {entry.layer or 'the step'} ({entry.reason})" for entry in shown]
    return [*lines, f"and {hidden} more tensors"] if hidden else lines


def _grid() -> Table:
    return Table.grid(padding=(0, 2, 0, 0))


def _text(text: str, style: str = "") -> Text:
    return Text(visible(text), style=style)
