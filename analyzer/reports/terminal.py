"""The report for a person at a terminal: the conclusion first, 80 columns, calm."""

from collections.abc import Iterable
from io import StringIO

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..causes import Suspect
from ..chain import Link
from ..conclusion import conclude, ending
from ..coverage import Coverage
from ..diagnosis import Diagnosis, Verdict
from ..findings import Finding
from ..localization import FirstFault
from ..places import LayerRef
from ..rules.rule import Severity, Symptom

WIDTH = 80
MAX_FINDINGS = 6
MAX_MISSING = 5
MAX_NOTES = 3

_STYLES = {Verdict.FAULTY: "bold red", Verdict.HEALTHY: "bold green", Verdict.UNKNOWN: "bold"}


def render(diagnosis: Diagnosis, colour: bool = False) -> str:
    """The diagnosis as text; colours only mark severity, and only if asked for."""
    output = StringIO()
    console = Console(
        file=output,
        width=WIDTH,
        force_terminal=colour,
        color_system="standard" if colour else None,
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=False,
    )
    for part in _parts(diagnosis):
        console.print(part)
    return "\n".join(line.rstrip() for line in output.getvalue().splitlines()) + "\n"


def visible(text: str) -> str:
    """Text in which every character is seen: control characters become their escapes.

    Names in a trace are anyone's; they must not move the cursor or set colours.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def _parts(diagnosis: Diagnosis) -> Iterable[RenderableType]:
    yield _text(conclude(diagnosis), _STYLES[diagnosis.verdict])
    if diagnosis.first_fault is not None:
        yield from _fault_parts(diagnosis.first_fault)
        yield from _section("Suspects", _suspects(diagnosis.suspects))
    if diagnosis.findings:
        yield from _section("Evidence", _findings(diagnosis.findings))
    yield from _section("What this rests on", _basis(diagnosis.coverage))
    yield _text("")
    yield _text(ending(diagnosis.run))
    for note in diagnosis.run.notes[:MAX_NOTES]:
        yield _text(f"Note of the recorder: {note}")


def _fault_parts(fault: FirstFault) -> Iterable[RenderableType]:
    if fault.hint:
        yield _text(f"Most likely: {fault.hint}.")
    if fault.alternatives:
        yield _text(
            f"Layers that were not recorded could be meant as well: {_names(fault.alternatives)}."
        )
    yield from _section("What happened", _chain(fault.chain))


def _section(title: str, content: RenderableType) -> Iterable[RenderableType]:
    yield _text("")
    yield _text(title, "bold")
    yield Padding(content, (0, 0, 0, 2))


def _chain(links: Iterable[Link]) -> RenderableType:
    table = _grid()
    for link in links:
        table.add_row(_text(str(link.relation)), _text(str(link.iteration)), _text(link.sentence))
    return table


def _suspects(suspects: Iterable[Suspect]) -> RenderableType:
    table = _grid()
    for rank, suspect in enumerate(suspects, 1):
        subject = suspect.layer or suspect.target
        lines = [_text(f"{suspect.cause} ({subject}), confidence {suspect.confidence:.0%}", "bold")]
        lines += [_text(f"- {sentence}") for sentence in suspect.evidence]
        lines += [_text(f"{line}") for line in _fix(suspect.fix)]
        table.add_row(_text(f"{rank}."), Group(*lines))
    return table


def _fix(fix: str) -> list[str]:
    first, *others = fix.split("\n")
    return [f"Try: {first}", *(f"  {line}" for line in others)]


def _findings(findings: tuple[Finding, ...]) -> RenderableType:
    ordered = sorted(findings, key=lambda finding: -finding.severity)
    table = Table(box=None, pad_edge=False, show_edge=False)
    for title, justify in (("since", "right"), ("iterations", "right"), ("what", "left")):
        table.add_column(title, justify=justify, style="", overflow="fold")  # type: ignore[arg-type]
    for finding in ordered[:MAX_FINDINGS]:
        note = "" if finding.severity > Severity.NOTICE else " (notice)"
        table.add_row(
            _text(str(finding.onset)),
            _text(f"{finding.n_holding}/{finding.n_judged}"),
            _text(f"{finding}{note}{_measured(finding)}"),
        )
    hidden = len(findings) - MAX_FINDINGS
    if hidden <= 0:
        return table
    return Group(table, _text(f"and {hidden} more (--format json lists them all)"))


def _measured(finding: Finding) -> str:
    if finding.symptom is Symptom.NON_FINITE:
        return ""
    return f"; {finding.quantity}: {finding.peak:.4g}"


def _basis(coverage: Coverage) -> RenderableType:
    kinds = ", ".join(f"{count} {kind}" for kind, count in coverage.n_series.items())
    lines = [
        f"{coverage.n_recorded} of {coverage.n_iterations} iterations recorded"
        + (f"; tensors: {kinds}" if kinds else ""),
        f"checked for: {', '.join(coverage.judged) or 'nothing'}",
    ]
    if coverage.unjudged:
        lines.append(f"not judged: {', '.join(entry.rule for entry in coverage.unjudged)}")
    for entry in coverage.missing[:MAX_MISSING]:
        lines.append(f"not recorded: {entry.kind} of {entry.layer or 'the step'} ({entry.reason})")
    hidden = len(coverage.missing) - MAX_MISSING
    if hidden > 0:
        lines.append(f"and {hidden} more tensors that were not recorded")
    return Group(*(_text(line) for line in lines))


def _names(layers: Iterable[LayerRef]) -> str:
    return ", ".join(map(str, layers))


def _grid() -> Table:
    return Table.grid(padding=(0, 2, 0, 0))


def _text(text: str, style: str = "") -> Text:
    return Text(visible(text), style=style)
