"""Checks of what the first weighted layer receives."""

import math
from collections.abc import Iterator

from deeplocalize.traces.header import DataSummary
from deeplocalize.traces.schema import Kind

from ..graph import feeding, is_known, series_of, unknown_sources
from ..outcome import FINE_SKILL
from ..program import KERNEL_CLASSES
from ..rules.rule import Severity, Symptom
from .check import Check, Facts, Sighting

# Offset from 0 relative to the spread; brightness of images has about 2.
MAX_OFFSET = 8.0

# Beyond this, a loss that began far too high is its doing, even if the run recovered.
MAX_SIZE = 50.0

# Thresholds beyond which features in different units are a mistake in any run of less skill.
FAR_THRESHOLDS = 10.0

# From here on inputs can drive the sigmoids of a first layer to their ends.
MIN_SATURATING_SIZE = 3.0

# Slope of a first squashing layer, relative to its largest, below which it is saturated.
SATURATED_SLOPE = 0.1

# Below this the first layer sees next to nothing.
MIN_SIZE = 1e-2


def _received(facts: Facts) -> tuple[int | None, int]:
    """Layer and series of what the first weighted layer receives; -1 where it is not known."""
    program, header = facts.program, facts.program.header
    first = next((i for i in program.layers if header.layers[i].class_name in KERNEL_CLASSES), None)
    if first is None or program.is_embedding:
        return None, -1
    if header.model_config and unknown_sources(header, first):
        return None, -1  # an operation that is no layer may have scaled it
    place = program.layers.index(first)
    for before in (*feeding(header, first), *reversed(program.layers[:place])):
        outputs = series_of(header, before, Kind.OUTPUT)
        if outputs:
            return before, outputs[-1]
        if header.layers[before].class_name in ("BatchNormalization", "LayerNormalization"):
            return None, -1
    return None, facts.series(Kind.INPUT)


def _saturates(facts: Facts) -> bool:
    """Whether the first weighted layer is a sigmoid or tanh at its ends from the first steps."""
    program, ends = facts.program, facts.ends
    layer, activation = next(iter(program.hidden), (-1, ""))
    outputs = series_of(program.header, layer, Kind.OUTPUT) if layer >= 0 else ()
    if not outputs:
        return False
    square = ends.early(outputs[-1], "rms") ** 2
    if activation == "sigmoid":
        return 4 * (ends.early(outputs[-1], "mean") - square) < SATURATED_SLOPE
    return activation == "tanh" and 1 - square < SATURATED_SLOPE


def _not_scaled(facts: Facts, threshold: float) -> Iterator[Sighting]:
    layer, series = _received(facts)
    if series < 0:
        return
    ends = facts.ends
    size = ends.early(series, "rms")
    mean = ends.early(series, "mean")
    # Not from their squares, which overflow.
    std = math.sqrt(max(size - abs(mean), 0.0)) * math.sqrt(max(size + abs(mean), 0.0))
    kind = Kind.OUTPUT if layer is not None else Kind.INPUT
    if not math.isfinite(size) or std == 0:
        return
    sentence, weight = "", 0.0
    if size > threshold:
        sentence = f"is of the order of {size:.3g} (rms)"
        weight = 0.85 if facts.outcome.starts_too_high or size > 100 else 0.7
    elif size > MIN_SATURATING_SIZE and _saturates(facts):
        sentence, weight = f"is of the order of {size:.3g} (rms) and saturates the first layer", 0.7
    elif 0 < size < MIN_SIZE:
        sentence, weight = f"is of the order of {size:.3g} (rms)", 0.8
    elif abs(mean) > MAX_OFFSET * std:
        sentence, weight = f"has mean {mean:.4g} and varies by only {std:.3g} around it", 0.8
    if sentence:
        severity = facts.harm
        if size > MAX_SIZE and is_known(facts.program.header):
            is_costly = facts.outcome.starts_too_high
            severity = Severity.SEVERE if is_costly else facts.harm_below(FINE_SKILL)
        yield Sighting(
            kind, layer, severity, weight, size,
            f"{sentence}, while layers are made for values of the order of 1 around 0",
        )  # fmt: skip


def _feature_scales(facts: Facts, threshold: float) -> Iterator[Sighting]:
    layer, series = _received(facts)
    if layer is not None or series < 0:
        return
    for summary in facts.program.inputs:
        features = summary.features
        if features is None or not features.median_rms or features.largest_rms is None:
            continue
        if facts.is_of_stray(Kind.INPUT, summary.name, math.inf):
            continue  # the rms of its feature says nothing of the others in it
        ratio = features.largest_rms / features.median_rms
        if ratio > threshold:
            is_far = ratio > FAR_THRESHOLDS * threshold
            yield Sighting(
                Kind.INPUT, None, facts.harm_below(FINE_SKILL) if is_far else facts.harm, 0.85,
                ratio,
                f"has features of different scales: feature {features.largest} has an rms of "
                f"{features.largest_rms:.3g}, half of the others {features.median_rms:.3g} or less",
                series=_series_of(facts, summary),
            )  # fmt: skip


def _constant(facts: Facts, threshold: float) -> Iterator[Sighting]:
    for summary in facts.program.inputs:
        if summary.std is None or summary.n_samples < threshold:
            continue
        features = summary.features
        if summary.min == summary.max:
            yield Sighting(
                Kind.INPUT, None, Severity.SEVERE, 0.93, summary.std,
                f"is {summary.min:g} in every element of every sample",
                series=_series_of(facts, summary),
            )  # fmt: skip
        elif (
            features is not None
            and features.n_rows >= threshold
            and (features.n_constant == features.n)
        ):
            yield Sighting(
                Kind.INPUT, None, Severity.SEVERE, 0.93, 0.0, "is the same for every sample",
                series=_series_of(facts, summary),
            )  # fmt: skip


def _constant_features(facts: Facts, threshold: float) -> Iterator[Sighting]:
    for summary in facts.program.inputs:
        features = summary.features
        if features is None or features.n_rows < threshold or facts.program.is_embedding:
            continue
        if 0 < features.n_constant < features.n:
            named = ", ".join(map(str, features.constant))
            more = ", ..." if features.n_constant > len(features.constant) else ""
            yield Sighting(
                Kind.INPUT, None, Severity.NOTICE, 0.2, float(features.n_constant),
                f"has {features.n_constant} of {features.n} features ({named}{more}) that are the "
                f"same in all {features.n_rows} rows looked at",
                series=_series_of(facts, summary),
            )  # fmt: skip


def _series_of(facts: Facts, summary: DataSummary) -> int:
    """The series of an input, of which there may be several."""
    for i, series in enumerate(facts.program.header.series):
        if series.kind is Kind.INPUT and series.tensor == summary.name:
            return i
    return -1


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
    Check(
        name="features of different scales", symptom=Symptom.FEATURE_SCALES,
        condition=_feature_scales, threshold=100.0,
        quantity="rms of the largest feature relative to the median one",
        statement="One feature of the inputs is a hundred times larger than most of the others.",
        reason="Initial weights treat all features alike, so that the large one drowns the others, "
        "and one learning rate cannot suit both.",
        source="two orders of magnitude (LeCun et al. 1998, 'Efficient BackProp', section 4.3, "
        "want equal variances); a notice where the run went well, and not looked at behind a "
        "layer that normalises",
        false_alarms="counts of rare events among which one is frequent, in a run that fails for "
        "another reason",
    ),
    Check(
        name="constant features", symptom=Symptom.CONSTANT_FEATURES, condition=_constant_features,
        threshold=20, quantity="features without variance",
        statement="Some features of the inputs never change.",
        reason="They can be left out; or a column was filled or read wrongly.",
        source="exact, over the first batches; always a notice",
        false_alarms="borders of images given as rows, rare categories: as a notice it is none",
    ),
)  # fmt: skip
