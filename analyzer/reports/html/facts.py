"""What the page tells besides its plots, as plain values for its template and its script."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deeplocalize.traces.display import shape_text
from deeplocalize.traces.header import DataSummary, Header
from deeplocalize.traces.plots.series import weight_of
from deeplocalize.traces.plots.wording import series_label
from deeplocalize.traces.schema import Kind

from ...causes import Suspect, Target
from ...coverage import Coverage
from ...diagnosis import Diagnosis
from ...findings import Finding
from ...localization import FirstFault
from ...places import layer_ref, place_of
from ...rules.rule import Severity
from ...verdict import Verdict

MAX_ONSETS = 12
MAX_CLASSES = 12

# Kinds with one series are drawn as curves and not as a heat map; checks of replays not at all.
_UNMAPPED = (Kind.LOSS, Kind.METRIC, Kind.REPLAY_ERROR)
_KIND_OF_TARGET = {
    Target.LOSS: Kind.LOSS,
    Target.DATA: Kind.INPUT,
    Target.OPTIMIZER: Kind.WEIGHT_UPDATE,
    Target.TRAINING: Kind.LOSS,
}


@dataclass(frozen=True)
class LayerRow:
    """A layer of the model as the page lists it; ``severity`` is that of its worst finding."""

    position: int
    number: str
    name: str
    class_name: str
    activation: str
    shape: str
    n_parameters: int
    depth: int
    severity: str
    is_fault: bool


@dataclass(frozen=True)
class SuspectRow:
    """A suspect with the series whose plots show it best."""

    suspect: Suspect
    percent: int
    series: int | None
    series_name: str


def headline(diagnosis: Diagnosis) -> str:
    """The verdict in a few words."""
    fault = diagnosis.first_fault
    if fault is not None:
        return f"Fault in {fault.layer or f'the {fault.place}'}"
    return "No verdict" if diagnosis.verdict is Verdict.UNKNOWN else "No fault found"


def first_series(header: Header, fault: FirstFault | None) -> int | None:
    """The series whose plots the page opens with; None if there is none at all."""
    if fault is not None and fault.place.series >= 0:
        return fault.place.series
    wanted = (Kind.WEIGHT_GRADIENT, Kind.OUTPUT, Kind.WEIGHT)
    for kind in wanted:
        for i, series in enumerate(header.series):
            if series.kind is kind:
                return i
    return 0 if header.series else None


def series_facts(header: Header) -> list[dict[str, Any]]:
    """Every series for the page's script, in the header's order."""
    return [
        {
            "label": series_label(header, i),
            "title": str(place_of(header, i)),
            "kind": series.kind,
            "noun": place_of(header, i).noun,
            "layer": series.layer,
            "owner": header.layers[series.layer].name if series.layer is not None else "the step",
            "weight": weight_of(header, i),
        }
        for i, series in enumerate(header.series)
    ]


def kinds_of(header: Header) -> list[dict[str, Any]]:
    """The recorded kinds that make a heat map, with their series in the order of the layers."""
    found: dict[Kind, list[int]] = {}
    for i, series in enumerate(header.series):
        if series.kind not in _UNMAPPED:
            found.setdefault(series.kind, []).append(i)

    def place(i: int) -> tuple[int, int]:
        series = header.series[i]
        return (-1 if series.layer is None else series.layer, series.position)

    return [
        {"kind": kind, "title": kind.replace("_", " "), "series": sorted(found[kind], key=place)}
        for kind in Kind
        if kind in found
    ]


def onsets(findings: Iterable[Finding], fault: FirstFault | None) -> list[int]:
    """Iterations worth a line in every curve, that of the fault first."""
    severe = sorted({f.onset for f in findings if f.severity >= Severity.SEVERE})
    first = [] if fault is None else [fault.moment.iteration]
    return [*first, *(onset for onset in severe if onset not in first)][:MAX_ONSETS]


def layer_rows(header: Header, diagnosis: Diagnosis) -> list[LayerRow]:
    """The model as an ordered list."""
    fault = diagnosis.first_fault
    worst: dict[object, Severity] = {}
    for finding in diagnosis.findings:
        held = worst.get(finding.place.layer, finding.severity)
        worst[finding.place.layer] = max(held, finding.severity)
    rows = []
    for position, layer in enumerate(header.layers):
        ref = layer_ref(layer)
        severity = worst.get(ref)
        rows.append(
            LayerRow(
                position=position,
                number=str(layer.index) if layer.index >= 0 else "",
                name=layer.name,
                class_name=layer.class_name,
                activation=layer.activation or "",
                shape=", ".join(shape_text(shape) for shape in layer.output_shapes),
                n_parameters=layer.n_parameters,
                depth=layer.path.count("/"),
                severity="" if severity is None else severity.name.lower(),
                is_fault=fault is not None and fault.layer == ref,
            )
        )
    return rows


def suspect_rows(diagnosis: Diagnosis, header: Header) -> list[SuspectRow]:
    """The suspects, each with the plot to look at."""
    rows = []
    for suspect in diagnosis.suspects:
        series = _series_of(suspect, diagnosis, header)
        name = "" if series is None else str(place_of(header, series))
        rows.append(SuspectRow(suspect, round(100 * suspect.confidence), series, name))
    return rows


def _series_of(suspect: Suspect, diagnosis: Diagnosis, header: Header) -> int | None:
    """Where the symptoms of a suspect show first; else the first series of what it is about."""
    for finding in diagnosis.findings:
        is_meant = suspect.layer is None or finding.place.layer == suspect.layer
        if is_meant and finding.symptom in suspect.symptoms and finding.place.series >= 0:
            return finding.place.series
    for i, series in enumerate(header.series):
        layer = header.layer_of(series)
        if suspect.layer is not None:
            if layer is not None and layer_ref(layer) == suspect.layer:
                return i
        elif series.kind is _KIND_OF_TARGET.get(suspect.target):
            return i
    return None


def recorded_kinds(coverage: Coverage) -> str:
    """How many series of each kind were recorded."""
    return ", ".join(
        f"{count} {kind.replace('_', ' ')}" for kind, count in coverage.n_series.items()
    )


def configuration(header: Header) -> list[tuple[str, str]]:
    """How the run was set up, as names and values."""
    versions = ", ".join(f"{name} {version}" for name, version in header.versions.items())
    pairs = [
        ("model", f"{header.model_name} {header.model_class}".strip()),
        ("loss", setting_text(header.loss)),
        ("optimizer", setting_text(header.optimizer)),
        ("metrics", ", ".join(header.metrics)),
        ("epochs", _optional(header.n_epochs)),
        ("steps per epoch", _optional(header.steps_per_epoch)),
        ("seed", _optional(header.seed)),
        ("statistics taken", str(header.schedule.get("statistics") or "")),
        ("execution", header.execution),
        ("framework", header.framework),
        ("versions", versions),
        ("recorded", header.created),
    ]
    return [(name, value) for name, value in pairs if value]


def setting_text(value: Any) -> str:
    """A configuration as ``Class(name=value, ...)``, or as JSON where it is no class."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, Mapping) and "class_name" in value:
        inner = value.get("config")
        arguments = inner.items() if isinstance(inner, Mapping) else ()
        shown = (f"{name}={_argument(part)}" for name, part in arguments if part is not None)
        return f"{value['class_name']}({', '.join(shown)})"
    return json.dumps(value, default=str)


def data_rows(header: Header) -> list[tuple[str, ...]]:
    """The data summary, one row per input and target."""
    return [_data_row(summary) for summary in header.data]


def as_number(value: float | None) -> str:
    """A number in four digits; "none" for None."""
    if value is None:
        return "none"
    if math.isnan(value):
        return "NaN"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _data_row(data: DataSummary) -> tuple[str, ...]:
    classes = list(data.class_counts.items())
    shown = ", ".join(f"{name}: {count:,}" for name, count in classes[:MAX_CLASSES])
    traits = [
        "integers" if data.is_integer_valued else "",
        "one-hot" if data.is_one_hot else "",
        f"{data.n_distinct} distinct values" if data.n_distinct is not None else "",
        f"classes {shown}{', …' if len(classes) > MAX_CLASSES else ''}" if classes else "",
    ]
    return (
        f"{data.role} {data.name}".strip(),
        f"{shape_text(data.shape)} {data.dtype}",
        as_number(data.n_samples),
        f"{as_number(data.min)} to {as_number(data.max)}",
        f"{as_number(data.mean)} ± {as_number(data.std)}",
        as_number(data.n_nonfinite),
        "; ".join(trait for trait in traits if trait),
    )


def _argument(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _optional(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
