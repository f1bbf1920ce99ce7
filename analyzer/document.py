"""A diagnosis as the plain data of the JSON contract (schema 1).

The contract, not the dataclasses, decides the names: other programs read them.
Numbers that are not finite become None: strict JSON has no word for them.
"""

import math
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from .causes import Suspect
from .chain import Link
from .coverage import Coverage
from .findings import Finding
from .guilty import GuiltyRows
from .localization import FirstFault
from .places import LayerRef, Moment, Place
from .run import Run
from .trial import Spread, Trial, Verification

if TYPE_CHECKING:
    from .diagnosis import Diagnosis

Document = dict[str, Any]


def document_of(diagnosis: "Diagnosis", schema: int) -> Document:
    """The whole contract; only str, int, finite float, bool, None, list and dict."""
    fault = diagnosis.first_fault
    document = {
        "schema": schema,
        "verdict": diagnosis.verdict,
        "needs": diagnosis.needs,
        "doubt": diagnosis.doubt,
        "first_fault": None if fault is None else _fault(fault),
        "suspects": [_suspect(rank, suspect) for rank, suspect in enumerate(diagnosis.suspects, 1)],
        "findings": [_finding(finding) for finding in diagnosis.findings],
        "coverage": _coverage(diagnosis.coverage),
        "trace": _run(diagnosis.run),
        "verification": None
        if diagnosis.verification is None
        else _verification(diagnosis.verification),
    }
    plain: Document = _plain(document)
    return plain


def _fault(fault: FirstFault) -> Document:
    return {
        **_moment(fault.moment),
        "phase": fault.phase,
        "layer": _layer(fault.layer),
        **_place(fault.place),
        "symptom": fault.symptom,
        "explanation": fault.explanation,
        "origin": fault.origin,
        "nature": fault.nature,
        "hint": fault.hint,
        "alternatives": [_layer(layer) for layer in fault.alternatives],
        "is_certain": fault.is_certain,
        "rows": None if fault.rows is None else _rows(fault.rows),
        "chain": [_link(link) for link in fault.chain],
    }


def _rows(rows: GuiltyRows) -> Document:
    return {
        "layer": _layer(rows.place.layer),
        **_place(rows.place),
        "first": rows.rows,
        "n_guilty": rows.n_guilty,
        "n_samples": rows.n_samples,
    }


def _link(link: Link) -> Document:
    return {
        "relation": link.relation,
        "iteration": link.iteration,
        "layer": _layer(link.place.layer),
        **_place(link.place),
        "sentence": link.sentence,
    }


def _suspect(rank: int, suspect: Suspect) -> Document:
    return {
        "rank": rank,
        "target": suspect.target,
        "layer": _layer(suspect.layer),
        "cause": suspect.cause,
        "confidence": suspect.confidence,
        "symptoms": suspect.symptoms,
        "evidence": [str(sentence) for sentence in suspect.evidence],
        "fix": suspect.fix,
        "trial": None if suspect.trial is None else _trial(suspect.trial),
    }


def _trial(trial: Trial) -> Document:
    return {
        "status": trial.status,
        "change": trial.change,
        "skill": _spread(trial.skill),
        "gain": _spread(trial.gain),
        "reason": trial.reason,
    }


def _spread(spread: Spread | None) -> Document | None:
    return None if spread is None else vars(spread)


def _verification(verification: Verification) -> Document:
    return {**vars(verification), "baseline": _spread(verification.baseline)}


def _finding(finding: Finding) -> Document:
    return {
        "rule": finding.rule,
        "symptom": finding.symptom,
        "severity": finding.severity.name.lower(),
        "layer": _layer(finding.place.layer),
        **_place(finding.place),
        "position": finding.place.position,
        "onset": finding.onset,
        "last": finding.last,
        "n_holding": finding.n_holding,
        "n_judged": finding.n_judged,
        "quantity": finding.quantity,
        "peak": finding.peak,
        "peak_iteration": finding.peak_iteration,
        "statement": finding.statement,
    }


def _coverage(coverage: Coverage) -> Document:
    return {
        "n_iterations": coverage.n_iterations,
        "n_recorded": coverage.n_recorded,
        "n_series": coverage.n_series,
        "judged": coverage.judged,
        "unjudged": [vars(entry) for entry in coverage.unjudged],
        "missing": [
            {"kind": entry.kind, "layer": _layer(entry.layer), "reason": entry.reason}
            for entry in coverage.missing
        ],
        "replay": None if coverage.replay is None else vars(coverage.replay),
        "opening": coverage.opening,
    }


def _run(run: Run) -> Document:
    return {
        "path": run.source,
        "framework": run.framework,
        "versions": run.versions,
        "model": {"name": run.model_name, "class": run.model_class, "n_layers": run.n_layers},
        "n_iterations": run.n_iterations,
        "last": None if run.last is None else _moment(run.last),
        "ending": run.ending,
        "ending_message": run.ending_message,
        "notes": run.notes,
    }


def _layer(layer: LayerRef | None) -> Document | None:
    if layer is None:
        return None
    return {"index": layer.index, "name": layer.name, "class": layer.class_name}


def _place(place: Place) -> Document:
    return {"kind": place.kind, "tensor": place.tensor, "call": place.call}


def _moment(moment: Moment) -> Document:
    return {"iteration": moment.iteration, "epoch": moment.epoch, "batch": moment.batch}


def _plain(value: Any) -> Any:
    """Plain text and lists, enumerations as their values, numbers that are not finite as None."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
