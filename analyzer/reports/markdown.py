"""The report for an issue, a merge request or the summary of a CI job: GitHub's Markdown."""

import re
from collections.abc import Iterable

from deeplocalize.traces.interface import TraceReader

from ..causes import Suspect
from ..chain import Link, Relation
from ..conclusion import conclude, elsewhere, ending
from ..coverage import Coverage
from ..diagnosis import Diagnosis
from ..findings import Finding
from ..text import visible
from ..verdict import Verdict
from .style import PLAIN, Style

MAX_MISSING = 5

_SIGNS = {Verdict.FAULTY: "❌", Verdict.HEALTHY: "✅", Verdict.UNKNOWN: "❔"}


_MARKUP = re.compile(
    r"[\\`*\[\]<|~$]"  # code, emphasis, links, HTML, tables, strokes, formulas
    r"|(?<!\w)_|_(?!\w)"  # emphasis; within a word it is none
    r"|&(?=#?\w+;)"  # character references
    r"|@(?=\w)|#(?=\d)"  # mentions and issues
    r"|:(?=//|[\w+-]+:)|(?<=www)\."  # addresses and emoji
    r"|^[#+>-]|(?<=^\d)[.)]"  # headings, quotations and lists
)


def render(diagnosis: Diagnosis, reader: TraceReader, style: Style = PLAIN) -> str:
    """The diagnosis as Markdown; a verbose style adds the findings."""
    del reader
    sections = [f"### {_SIGNS[diagnosis.verdict]} {escaped(conclude(diagnosis))}"]
    fault = diagnosis.first_fault
    if fault is not None:
        if fault.hint:
            sections.append(f"Most likely: {escaped(fault.hint)}.")
        if fault.caveat:
            sections.append(escaped(fault.caveat))
        if elsewhere(diagnosis):
            sections.append(escaped(elsewhere(diagnosis)))
        sections.append("#### What happened\n\n" + "\n".join(map(_link, fault.chain)))
        if fault.rows is not None:
            sections.append(escaped(str(fault.rows)))
        sections.append("#### Suspects\n\n" + "\n".join(_suspects(diagnosis.suspects)))
    if diagnosis.verification is not None:
        verified = f"{diagnosis.verification} {diagnosis.verification.conclusion}".strip()
        sections.append(f"#### What if\n\n{escaped(verified)}")
    if diagnosis.notes and not style.verbose:
        notes = "\n".join(f"- {escaped(str(note))}" for note in diagnosis.notes)
        sections.append(f"#### Worth knowing\n\n{notes}")
    if style.verbose and diagnosis.findings:
        sections.append("#### Findings\n\n" + "\n".join(_findings(diagnosis.findings)))
    sections.append(_coverage(diagnosis.coverage))
    sections.append(f"{escaped(ending(diagnosis.run))} Trace: {_code(diagnosis.run.source)}")
    return "\n\n".join(sections) + "\n"


def escaped(text: str) -> str:
    """Text that Markdown shows as it stands: no markup, no HTML, no mention, no reference.

    Names in a trace are anyone's. A character reference survives where a backslash would not.
    What cannot begin any of these where it stands is left alone, so that the source can be read.
    """
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", visible(text))


def _link(link: Link) -> str:
    sentence = f"iteration {link.iteration} ({link.relation.word}): {escaped(link.sentence)}"
    return f"- **{sentence}**" if link.relation is Relation.AT else f"- {sentence}"


def _suspects(suspects: Iterable[Suspect]) -> Iterable[str]:
    for rank, suspect in enumerate(suspects, 1):
        subject = escaped(str(suspect.layer or suspect.target))
        yield f"{rank}. **`{suspect.cause}`** in {subject}, confidence {suspect.confidence:.0%}"
        if suspect.trial is not None:
            yield f"   - **{escaped(str(suspect.trial))}**"
        yield from (f"   - {escaped(sentence)}" for sentence in suspect.evidence)
        advice, *code = suspect.fix.split("\n")
        yield f"   - Try: {escaped(advice)}"
        if code:
            yield "     ```python"
            yield from (f"     {visible(line)}" for line in code)
            yield "     ```"


def _findings(findings: Iterable[Finding]) -> Iterable[str]:
    yield "| since | iterations | severity | what | at most |"
    yield "| ---: | ---: | --- | --- | --- |"
    for finding in findings:
        yield (
            f"| {finding.onset} | {finding.n_holding}/{finding.n_judged} "
            f"| {finding.severity.name.lower()} | {escaped(str(finding))} "
            f"| {finding.peak:.4g} ({escaped(finding.quantity)}) |"
        )


def _coverage(coverage: Coverage) -> str:
    lines = [f"Recorded {escaped(coverage.extent)}."]
    if coverage.unjudged:
        rules = "; ".join(
            f"{', '.join(rules)} (for want of {needs})"
            for needs, rules in coverage.unjudged_by_need.items()
        )
        lines.append(f"Not judged: {escaped(rules)}.")
    if coverage.missing:
        shown = ", ".join(
            f"{entry.kind} of {entry.layer or 'the step'}"
            for entry in coverage.missing[:MAX_MISSING]
        )
        hidden = len(coverage.missing) - MAX_MISSING
        more = f" and {hidden} more" if hidden > 0 else ""
        lines.append(f"Not recorded: {escaped(shown)}{more}.")
    if coverage.replay is not None:
        lines.append(f"Replayed: {escaped(str(coverage.replay))}.")
    if coverage.opening:
        lines.append(f"Kept for a replay: {escaped(coverage.opening)}.")
    return " ".join(lines)


def _code(text: str) -> str:
    """Code in which nothing can end the code."""
    return f"`{visible(text).replace('`', chr(0x2BB))}`"
