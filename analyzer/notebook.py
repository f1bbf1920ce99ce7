"""How a diagnosis shows itself in a notebook: static HTML and a tidy frame."""

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from .causes import Suspect
from .chain import Link, Relation
from .conclusion import conclude, elsewhere, ending
from .findings import Finding
from .verdict import Verdict

if TYPE_CHECKING:
    from .diagnosis import Diagnosis

FRAME_COLUMNS = (
    *("onset", "layer", "kind", "tensor", "call", "symptom", "severity", "rule"),
    *("last", "n_holding", "n_judged", "quantity", "peak", "peak_iteration"),
)

_COLORS = {Verdict.FAULTY: "#c4163a", Verdict.HEALTHY: "#17754d", Verdict.UNKNOWN: "#7a8598"}


def diagnosis_html(diagnosis: "Diagnosis") -> str:
    """The conclusion, the chain around the fault and the suspects."""
    color = _COLORS[diagnosis.verdict]
    parts = [
        f"<p><span style='background:{color};color:#fff;padding:1px 9px;border-radius:9px'>"
        f"{escape(diagnosis.verdict)}</span> <strong>{escape(conclude(diagnosis))}</strong></p>"
    ]
    fault = diagnosis.first_fault
    if fault is not None:
        if fault.hint:
            parts.append(f"<p>Most likely: {escape(fault.hint)}.</p>")
        if fault.caveat:
            parts.append(f"<p>{escape(fault.caveat)}</p>")
        if elsewhere(diagnosis):
            parts.append(f"<p>{escape(elsewhere(diagnosis))}</p>")
        parts.append(f"<ul>{''.join(map(_link, fault.chain))}</ul>")
        if fault.rows is not None:
            parts.append(f"<p>{escape(str(fault.rows))}</p>")
        parts.append(f"<ol>{''.join(map(_suspect, diagnosis.suspects))}</ol>")
    if diagnosis.verification is not None:
        verified = f"{diagnosis.verification} {diagnosis.verification.conclusion}"
        parts.append(f"<p>{escape(verified)}</p>")
    if diagnosis.notes:
        notes = "".join(f"<li>{escape(str(note))}</li>" for note in diagnosis.notes)
        parts.append(f"<p>Worth knowing:</p><ul>{notes}</ul>")
    parts.append(f"<p style='opacity:.7'>{escape(ending(diagnosis.run))}</p>")
    return f"<div>{''.join(parts)}</div>"


def findings_frame(findings: Iterable[Finding]) -> pd.DataFrame:
    """One row per finding, in the order of events; see `Finding` for the columns."""
    rows = [
        {
            "onset": finding.onset,
            "layer": finding.place.layer and finding.place.layer.name,
            "kind": str(finding.place.kind),
            "tensor": finding.place.tensor,
            "call": finding.place.call,
            "symptom": str(finding.symptom),
            "severity": finding.severity.name.lower(),
            "rule": finding.rule,
            "last": finding.last,
            "n_holding": finding.n_holding,
            "n_judged": finding.n_judged,
            "quantity": finding.quantity,
            "peak": finding.peak,
            "peak_iteration": finding.peak_iteration,
        }
        for finding in findings
    ]
    return pd.DataFrame(rows, columns=list(FRAME_COLUMNS))


def _link(link: Link) -> str:
    sentence = escape(f"iteration {link.iteration} ({link.relation.word}): {link.sentence}")
    return (
        f"<li>{f'<strong>{sentence}</strong>' if link.relation is Relation.AT else sentence}</li>"
    )


def _suspect(suspect: Suspect) -> str:
    subject = escape(str(suspect.layer or suspect.target))
    evidence = "".join(f"<li>{escape(sentence)}</li>" for sentence in suspect.evidence)
    advice, *code = suspect.fix.split("\n")
    tried = f"<br><strong>{escape(str(suspect.trial))}</strong>" if suspect.trial else ""
    shown = f"<pre>{escape(chr(10).join(code))}</pre>" if code else ""
    return (
        f"<li><strong>{escape(suspect.cause)}</strong> in {subject}, confidence "
        f"{suspect.confidence:.0%}{tried}<ul>{evidence}"
        f"<li>Try: {escape(advice)}{shown}</li></ul></li>"
    )
