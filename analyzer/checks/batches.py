"""Checks of what the samples of a batch have in common: nothing can be learned from no contrast."""

from collections.abc import Iterator

import numpy as np

from deeplocalize.traces.schema import Kind

from ..graph import feeding, series_of
from ..outcome import LITTLE_SKILL, POOR_SKILL
from ..program import ACTIVATION_CLASSES, KERNEL_CLASSES
from ..rules.rule import Severity, Symptom
from .check import Check, Facts, Sighting

# Layers that only give values another shape.
RESHAPING_CLASSES = frozenset({"Flatten", "Reshape", "Permute"})

# Fewer samples may be alike by chance, and one always is.
MIN_SAMPLES = 4

# How far an output may be from the beta of its layer: float16 has a spacing of 1e-3.
ROUNDING = 1e-3


def _no_variance(facts: Facts, threshold: float) -> Iterator[Sighting]:
    header, ends = facts.program.header, facts.ends
    for i, layer in enumerate(header.layers):
        outputs = series_of(header, i, Kind.OUTPUT)
        if layer.class_name != "BatchNormalization" or not layer.trainable or not outputs:
            continue
        shape = header.series[outputs[0]].shape
        is_last = layer.config.get("axis", -1) in (-1, len(shape) - 1)
        n_values = ends.most(outputs[0], "n") / (shape[-1] or 1)
        if is_last and n_values == threshold and _is_beta(facts, i, outputs[0]):
            yield Sighting(
                Kind.OUTPUT, i, facts.harm_below(POOR_SKILL), 0.96, n_values,
                "is its own beta, whatever comes in: a batch has one value for each unit, and less "
                "its own mean that is 0",
            )  # fmt: skip


def _is_beta(facts: Facts, layer: int, output: int) -> bool:
    """Whether a normalised output is the offset alone; 0 without one."""
    header, ends = facts.program.header, facts.ends
    weights = series_of(header, layer, Kind.WEIGHT)
    beta = next((i for i in weights if header.series[i].tensor == "beta"), -1)
    if beta < 0:
        return ends.most(output, "rms") == 0
    rms = ends.together((output, beta), "rms")
    return len(rms) > 0 and bool(np.allclose(rms[:, 0], rms[:, 1], ROUNDING, 1e-7))


def _same_from_here(facts: Facts, threshold: float) -> Iterator[Sighting]:
    header, head = facts.program.header, facts.head
    if head is None or head.output < 0 or facts.harm_below(LITTLE_SKILL) is Severity.NOTICE:
        return
    if not _is_same(facts, head.output, threshold):
        return
    for i in sorted(facts.program.layers, key=lambda i: header.layers[i].order):
        outputs = series_of(header, i, Kind.OUTPUT)
        if not outputs or not all(_is_same(facts, k, threshold) for k in outputs):
            continue
        while header.layers[i].class_name in RESHAPING_CLASSES and len(feeding(header, i)) == 1:
            i = feeding(header, i)[0]  # where positions differ and samples do not, this shows it
        received = [k for one in feeding(header, i) for k in series_of(header, one, Kind.OUTPUT)]
        is_told = bool(received) and not any(_is_same(facts, k, threshold) for k in received)
        if is_told and header.layers[i].class_name not in KERNEL_CLASSES | ACTIVATION_CLASSES:
            yield Sighting(
                Kind.OUTPUT, i, Severity.SEVERE, 0.93, 1.0,
                "is the same for every sample of a batch, from the first iteration to the last, "
                "while what the layer receives differs: it mixes the samples",
            )  # fmt: skip
        return


def _is_same(facts: Facts, series: int, threshold: float) -> bool:
    """Whether no unit tells the samples of a batch apart, in any recorded batch at either end.

    Zeros do not count: units that are dead have rules of their own.
    """
    width = facts.program.header.series[series].shape[-1:]
    n_units = width[0] if width and width[0] else 1
    ends = facts.ends
    n, constant = ends.both(series, "n"), ends.both(series, "n_constant_units")
    is_judged = len(n) > 0 and bool((n >= MIN_SAMPLES * n_units).all())
    is_zero = ends.most(series, "rms") == 0
    return is_judged and not is_zero and bool((constant >= threshold * n_units).all())


CHECKS = (
    Check(
        name="no variance to normalise", symptom=Symptom.NO_BATCH_VARIANCE, condition=_no_variance,
        threshold=1, quantity="values of a unit in a batch",
        statement="A BatchNormalization normalises one value at a time, and returns its beta.",
        reason="One value less its own mean is 0: nothing of the input is left, and no gradient "
        "goes back.",
        source="exact: as many values as units, and an output of the size of beta in every batch "
        "of both ends (Ioffe and Szegedy 2015, algorithm 1); a notice where the run came half of "
        "the way, by a path around the layer",
        false_alarms="a run that fails for another reason and has a path around the layer",
    ),
    Check(
        name="a layer mixes the samples", symptom=Symptom.SAME_FOR_ALL, condition=_same_from_here,
        threshold=1.0, quantity="share of units without variance over the batch",
        statement="From some layer on everything is the same for every sample of a batch, and "
        "before it is not.",
        reason="What is the same for every sample says nothing about any of them: an operation "
        "over axis 0 is one over the samples.",
        source="exact: all units, bit for bit, in every batch of both ends of a run that came "
        "less than a fifth of the way; layers with a kernel or an activation, which may be "
        "saturated, are left out",
        false_alarms="none known",
    ),
)  # fmt: skip
