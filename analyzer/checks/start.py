"""Checks of the weights that a run began with, unless it went on from an earlier one."""

import math
from collections.abc import Iterator

import numpy as np

from deeplocalize.traces.schema import Kind

from ..graph import input_series, series_of
from ..outcome import FINE_SKILL, LITTLE_SKILL, POOR_SKILL, TOO_SHORT
from ..program import KERNEL_CLASSES, RECURRENT_CLASSES, Kernel
from ..rules.rule import Severity, Symptom
from .check import Check, Facts, Sighting

# Uniform values up to 0.05, Keras's RandomUniform, are small for small layers but usual.
MIN_RATIO = 1e-3

# Spread of gradients relative to their size up to which they differ by rounding alone.
SAME = 1e-3


def _hidden_kernels(facts: Facts) -> Iterator[Kernel]:
    head = facts.program.head
    for kernel in facts.program.kernels:
        layer = facts.program.layer(kernel.layer)
        is_hidden = head is not None and kernel.layer != head.kernel_layer
        is_trained = kernel.update >= 0
        if layer.class_name in KERNEL_CLASSES and is_hidden and is_trained:
            yield kernel


def _equal(facts: Facts, threshold: float) -> Iterator[Sighting]:
    if facts.program.header.is_resumed or facts.outcome.n_iterations <= TOO_SHORT:
        return
    ends, skill = facts.ends, facts.outcome.skill
    is_fine = skill is not None and skill >= FINE_SKILL
    for kernel in _hidden_kernels(facts):
        low, high = ends.first(kernel.weight, "min"), ends.first(kernel.weight, "max")
        n_units = kernel.shape[-1]
        if low != high or n_units <= threshold:
            continue
        begins = f"begins with {high:g} everywhere"
        severity = Severity.NOTICE if is_fine else Severity.SEVERE
        weight = 0.95
        if _stays(facts, kernel):
            sentence = f"{begins}, and is so to the end: all units of the layer are the same"
        elif _is_given_one_gradient(facts, kernel):
            sentence = (
                f"{begins}, and all units of the layer are given the same gradient: they are and "
                "stay the same"
            )
        elif high:
            severity, weight = facts.harm, 0.8
            sentence = f"{begins}: all units of the layer begin as the same"
        else:
            continue  # zeros that gradients tell apart: a branch that begins with nothing to add
        yield Sighting(
            Kind.WEIGHT, kernel.layer, severity, weight, float(n_units), sentence,
            series=kernel.weight,
        )  # fmt: skip


def _stays(facts: Facts, kernel: Kernel) -> bool:
    """Whether a kernel is one value everywhere to the end, while steps change something."""
    ends = facts.ends
    updates = [
        i
        for i, series in enumerate(facts.program.header.series)
        if series.kind is Kind.WEIGHT_UPDATE
    ]
    is_any_moved = any(ends.most(i, "rms") > 0 for i in updates)
    if not ends.reach_far(facts.outcome.n_iterations):
        return False
    return is_any_moved and ends.late(kernel.weight, "min") == ends.late(kernel.weight, "max")


def _is_given_one_gradient(facts: Facts, kernel: Kernel) -> bool:
    """Whether the bias of the same units has one gradient for all: nothing tells them apart."""
    header, ends = facts.program.header, facts.ends
    for i in series_of(header, kernel.layer, Kind.WEIGHT_GRADIENT):
        series = header.series[i]
        if series.tensor.endswith("bias") and series.shape[-1:] == kernel.shape[-1:]:
            size = ends.early(i, "rms")
            spread = ends.early(i, "max") - ends.early(i, "min")
            return size > 0 and spread <= SAME * size
    return False


def _out_of_scale(facts: Facts, threshold: float) -> Iterator[Sighting]:
    if facts.program.header.is_resumed:
        return
    ends, outcome = facts.ends, facts.outcome
    for kernel in facts.program.kernels:
        layer = facts.program.layer(kernel.layer)
        if layer.class_name not in KERNEL_CLASSES - RECURRENT_CLASSES:
            continue
        expected = math.sqrt(2.0 / (kernel.fan_in + kernel.fan_out))
        ratio = ends.first(kernel.weight, "rms") / expected
        if ratio > threshold or 0 < ratio < MIN_RATIO:
            is_far = ratio > 3 * threshold
            severity = facts.harm_below(POOR_SKILL if is_far else LITTLE_SKILL)
            if is_far and (outcome.starts_too_high or outcome.skill is None):
                severity = Severity.SEVERE
            yield Sighting(
                Kind.WEIGHT, kernel.layer, severity, 0.9, ratio,
                f"begins at {ratio:.3g} times its usual size",
            )  # fmt: skip


def _amplifying(facts: Facts, threshold: float) -> Iterator[Sighting]:
    header, ends = facts.program.header, facts.ends
    if header.is_resumed:
        return
    for i in facts.program.layers:
        layer = header.layers[i]
        outputs = series_of(header, i, Kind.OUTPUT)
        received = [ends.first(k, "rms") for k in input_series(header, i)]
        if layer.class_name not in KERNEL_CLASSES or not outputs or not received:
            continue
        factor = ends.first(outputs[-1], "rms") / np.nanmax((*received, 1.0))
        if factor > threshold:
            steps = "in the course of a sequence, " if layer.class_name in RECURRENT_CLASSES else ""
            yield Sighting(
                Kind.OUTPUT, i, facts.harm_below(POOR_SKILL), 0.96, factor,
                f"is {factor:.3g} times as large as what the layer receives, {steps}before any "
                "step was taken",
            )  # fmt: skip


CHECKS = (
    Check(
        name="all weights of a layer are equal", symptom=Symptom.EQUAL_WEIGHTS, condition=_equal,
        threshold=1, quantity="units of the layer",
        statement="The kernel of a hidden layer begins with one value everywhere, and nothing "
        "tells its units apart.",
        reason="Units that compute the same and receive the same gradient never differ; with zeros "
        "under a relu none receives any.",
        source="Goodfellow et al. 2016, section 8.4; a kernel that is one value to the end as "
        f"well, or gradients of the bias that differ by less than {SAME:g} of their size; a "
        "notice where the run came eight tenths of the way. Zeros that gradients tell apart are "
        "usual (the last layer of a residual branch, Zhang et al. 2019, 'Fixup'; low-rank "
        "adapters, Hu et al. 2021); another value is a notice unless the run failed or was hurt; "
        "output layers may begin with zeros",
        false_alarms="layers that are meant to begin as an average, in a run that fails for "
        "another reason",
    ),
    Check(
        name="values explode before the first step", symptom=Symptom.EXPLODING_VALUES,
        condition=_amplifying, threshold=1e4,
        quantity="rms of a layer's output relative to that of its input, at least 1",
        statement="The weights that a layer begins with make its values ten thousand times larger.",
        reason="Losses and gradients of such outputs are of no use, and the first step throws all "
        "weights away, however small the learning rate.",
        source="usual initial weights keep the variance (Glorot and Bengio 2010); recurrences "
        "multiply by their kernel in every step (Pascanu et al. 2013); the square of such an "
        "output is 1e8 or more, where float32 no longer tells one unit from the next (2**24); a "
        "notice unless the run failed, was hurt or came less than half of the way",
        false_alarms="a layer that is to change units, in a run that fails for another reason",
    ),
    Check(
        name="initial weights out of scale", symptom=Symptom.WEIGHTS_OUT_OF_SCALE,
        condition=_out_of_scale, threshold=10.0,
        quantity="rms of the kernel relative to sqrt(2 / (fan in + fan out))",
        statement="A kernel begins ten times larger, or a thousand times smaller, than usual.",
        reason="Signals and gradients grow or shrink by this factor in every layer.",
        source="Glorot and Bengio 2010, formula 12; He et al. 2015 differs by at most sqrt(2) for "
        "square layers; a notice where the run came a fifth of the way, or, from thirty times on, "
        "half of it",
        false_alarms="fixed scales that are part of a design (random features)",
    ),
)  # fmt: skip
