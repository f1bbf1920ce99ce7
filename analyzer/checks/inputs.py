"""Checks of what the first weighted layer receives."""

import math
from collections.abc import Iterator

from deeplocalize.traces.schema import Kind

from ..graph import feeding, series_of
from ..program import KERNEL_CLASSES
from ..rules.rule import Severity, Symptom
from .check import Check, Facts, Sighting

# Offset from 0 relative to the spread; brightness of images has about 2.
MAX_OFFSET = 8.0

# Beyond this, a loss that began far too high is its doing, even if the run recovered.
MAX_SIZE = 50.0

# Skill above which even such inputs did no harm.
FINE_SKILL = 0.8

# Below this the first layer sees next to nothing.
MIN_SIZE = 1e-2


def _received(facts: Facts) -> tuple[int | None, int]:
    """Layer and series of what the first weighted layer receives; -1 where it is not known."""
    program, header = facts.program, facts.program.header
    first = next((i for i in program.layers if header.layers[i].class_name in KERNEL_CLASSES), None)
    if first is None or program.is_embedding:
        return None, -1
    place = program.layers.index(first)
    for before in (*feeding(header, first), *reversed(program.layers[:place])):
        outputs = series_of(header, before, Kind.OUTPUT)
        if outputs:
            return before, outputs[0]
        if header.layers[before].class_name in ("BatchNormalization", "LayerNormalization"):
            return None, -1
    return None, facts.series(Kind.INPUT)


def _not_scaled(facts: Facts, threshold: float) -> Iterator[Sighting]:
    layer, series = _received(facts)
    if series < 0:
        return
    ends = facts.ends
    size = ends.early(series, "rms")
    mean = ends.early(series, "mean")
    std = math.sqrt(max(size**2 - mean**2, 0.0))
    kind = Kind.OUTPUT if layer is not None else Kind.INPUT
    if not math.isfinite(size) or std == 0:
        return
    sentence, weight = "", 0.0
    if size > threshold:
        sentence = f"is of the order of {size:.3g} (rms)"
        weight = 0.85 if facts.outcome.starts_too_high or size > 100 else 0.7
    elif 0 < size < MIN_SIZE:
        sentence, weight = f"is of the order of {size:.3g} (rms)", 0.8
    elif abs(mean) > MAX_OFFSET * std:
        sentence, weight = f"has mean {mean:.4g} and varies by only {std:.3g} around it", 0.8
    if sentence:
        severity = facts.harm
        if size > MAX_SIZE:
            is_costly = facts.outcome.starts_too_high
            severity = Severity.SEVERE if is_costly else facts.harm_below(FINE_SKILL)
        yield Sighting(
            kind, layer, severity, weight, size,
            f"{sentence}, while layers are made for values of the order of 1 around 0",
        )  # fmt: skip


def _constant(facts: Facts, threshold: float) -> Iterator[Sighting]:
    for summary in facts.program.inputs:
        if summary.std is None or summary.n_samples < threshold or summary.min != summary.max:
            continue
        yield Sighting(
            Kind.INPUT, None, Severity.SEVERE, 0.93, summary.std,
            f"is {summary.min:g} in every element of every sample",
        )  # fmt: skip


CHECKS = (
    Check(
        name="input is not scaled", symptom=Symptom.INPUT_NOT_SCALED, condition=_not_scaled,
        threshold=10.0, quantity="rms of what the first weighted layer receives",
        statement="The first layer with weights receives values far from the order of 1, or far "
        f"from 0 compared with their spread ({MAX_OFFSET:g} times).",
        reason="Initial weights are chosen for inputs of variance 1 around 0: larger ones "
        "saturate or blow up the first layers, an offset ties all gradients to one sign.",
        source="an order of magnitude from unit variance (LeCun et al. 1998, 'Efficient "
        "BackProp', section 4.3); images in bytes have an rms of about 100; a notice where the "
        "run went well",
        false_alarms="a run that fails for another reason",
    ),
    Check(
        name="input is constant", symptom=Symptom.INPUT_CONSTANT, condition=_constant,
        threshold=20, quantity="standard deviation of the input",
        statement="Every sample is the same.",
        reason="Nothing about the targets can follow from it.",
        source="exact", false_alarms="an auxiliary input that is constant on purpose",
    ),
)  # fmt: skip
