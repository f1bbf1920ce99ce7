"""Checks of how far the weights move in a step, and in the whole run."""

import math
from collections.abc import Iterator

import numpy as np

from deeplocalize.traces.schema import Kind

from ..constraint import is_constrained
from ..graph import weighted_leaves
from ..optimizer import optimizer_facts
from ..outcome import LONG_ENOUGH, POOR_SKILL, SHORT, State
from ..program import KERNEL_CLASSES, Kernel
from ..rules.rule import Severity, Symptom
from .check import Check, Facts, Sighting

# Share of their own size by which weights must be able to move, or nothing is learned.
MIN_JOURNEY = 0.1

# Fall of the loss, in its standard errors, beyond which something unseen is trained.
MAX_FALL_IN_ERRORS = 2.0

# Beyond this multiple of what is usual, a learning rate is a mistake in any run of little skill.
FAR_TOO_FAST = 10.0

# Factor by which a loss exceeds that of the first iterations without having risen: chosen, for
# batches differ.
MAX_RISE = 2.0

# Fewer epochs are a trial, or a single pass over data that never end.
TRIAL_EPOCHS = 3


def _kernels(facts: Facts, is_any: bool = False) -> list[Kernel]:
    """Those that the optimizer moves; of others, a constraint has its share in what moves them."""
    header = facts.program.header
    return [
        kernel
        for kernel in facts.program.kernels
        if kernel.update >= 0
        and facts.program.layer(kernel.layer).class_name in KERNEL_CLASSES
        and (is_any or not is_constrained(header, header.series[kernel.update]))
    ]


def _ratio(facts: Facts, kernel: Kernel) -> float:
    """Rms of the update relative to the weight, or to a tenth of a usual weight if larger."""
    size = max(facts.ends.early(kernel.weight, "rms"), 0.1 * _usual(kernel))
    return facts.ends.early(kernel.update, "rms") / size


def _peak(facts: Facts, kernel: Kernel) -> float:
    """The largest such ratio of the first steps."""
    return facts.ends.peak_ratio(kernel.update, kernel.weight, 0.1 * _usual(kernel))


def _usual(kernel: Kernel) -> float:
    return math.sqrt(2.0 / (kernel.fan_in + kernel.fan_out))


def _nothing_trained(facts: Facts, threshold: float) -> Iterator[Sighting]:
    header, outcome = facts.program.header, facts.outcome
    weighted = weighted_leaves(header)
    frozen = [i for i in weighted if not header.layers[i].trainable]
    is_any_updated = any(series.kind is Kind.WEIGHT_UPDATE for series in header.series)
    if len(frozen) < max(threshold, len(weighted)) or is_any_updated:
        return
    fall = outcome.first_loss.mean - outcome.last_loss.mean
    error = math.hypot(outcome.first_loss.standard_error, outcome.last_loss.standard_error)
    if fall <= MAX_FALL_IN_ERRORS * error:
        yield Sighting(
            Kind.WEIGHT, frozen[0], Severity.SEVERE, 0.95, float(len(frozen)),
            "is frozen, as are those of all layers: no step changes anything",
        )  # fmt: skip


def _large(facts: Facts, threshold: float) -> Iterator[Sighting]:
    optimizer = optimizer_facts(facts.program.header)
    kernels = _kernels(facts) or _kernels(facts, is_any=optimizer.is_fast)
    ratios = [(_peak(facts, kernel), kernel) for kernel in kernels]
    ratios = [(ratio, kernel) for ratio, kernel in ratios if math.isfinite(ratio)]
    is_certain = optimizer.excess > FAR_TOO_FAST and facts.harm_below(POOR_SKILL) > Severity.NOTICE
    if not ratios or not (facts.outcome.is_harmed or is_certain):
        return
    if _falls_steadily(facts) and optimizer.excess <= FAR_TOO_FAST:
        return
    ratio, kernel = max(ratios, key=lambda pair: pair[0])
    if ratio > threshold or optimizer.is_fast:
        weight = 0.9 if optimizer.is_fast else 0.75 if ratio > 2 else 0.6
        yield Sighting(
            Kind.WEIGHT_UPDATE, kernel.layer, Severity.SEVERE, weight, ratio,
            f"reaches {ratio:.2g} of the weight in the first steps, under {optimizer}",
            series=kernel.update,
        )  # fmt: skip


def _falls_steadily(facts: Facts) -> bool:
    """Whether the loss still falls at the end and rose nowhere: what large steps prevent."""
    outcome = facts.outcome
    return outcome.is_falling and outcome.peak_loss <= MAX_RISE * outcome.first_loss.mean


def _small(facts: Facts, threshold: float) -> Iterator[Sighting]:
    outcome = facts.outcome
    is_doubtful = outcome.state in (State.STUCK, State.FLAT, State.POOR)
    if not is_doubtful and not outcome.is_far:
        return
    ratios = [(_ratio(facts, kernel), kernel) for kernel in _kernels(facts)]
    ratios = [
        (ratio, kernel)
        for ratio, kernel in ratios
        if math.isfinite(ratio) and (ratio > 0 or facts.ends.early(kernel.gradient, "rms") > 0)
    ]
    optimizer = optimizer_facts(facts.program.header)
    if not ratios:
        return
    if max(_peak(facts, kernel) for _, kernel in ratios) * outcome.n_iterations > 1:
        return  # some weights could have moved by all that they are
    ratio = float(np.median([ratio for ratio, _ in ratios]))
    journey = ratio * outcome.n_iterations
    if ratio < threshold and journey < MIN_JOURNEY:
        yield Sighting(
            Kind.WEIGHT_UPDATE, ratios[-1][1].layer, Severity.SEVERE,
            0.93 if optimizer.is_slow else 0.6, ratio,
            f"is {ratio:.2g} of the weight (median of all kernels), so that {outcome.n_iterations} "
            f"steps move it by {journey:.1%} at most, under {optimizer}",
        )  # fmt: skip


def _few(facts: Facts, threshold: float) -> Iterator[Sighting]:
    outcome = facts.outcome
    if not outcome.is_unfinished or outcome.is_hurt or outcome.n_iterations >= threshold:
        return
    ratios = [_ratio(facts, kernel) for kernel in _kernels(facts)]
    ratios = [ratio for ratio in ratios if math.isfinite(ratio)]
    ratio = float(np.median(ratios)) if ratios else 0.0
    if 1e-4 <= ratio <= 0.2:
        is_trial = outcome.n_iterations < LONG_ENOUGH or len(facts.epochs.logs) < TRIAL_EPOCHS
        way = max(outcome.best_skill or 0.0, 0.0)
        yield Sighting(
            Kind.LOSS, None,
            Severity.NOTICE if is_trial or facts.is_cut_short else Severity.SEVERE,
            0.7, float(outcome.n_iterations),
            f"was still falling when the run ended after {outcome.n_iterations} steps, "
            f"{way:.0%} of the way from always answering the same to perfection: it was trained "
            f"too short, in steps of a usual size ({ratio:.2g} of the weights each)",
        )  # fmt: skip


CHECKS = (
    Check(
        name="nothing is trained", symptom=Symptom.NOTHING_TRAINED, condition=_nothing_trained,
        threshold=1, quantity="layers whose weights are frozen",
        statement="The weights of every layer are frozen, and the loss stays where it was.",
        reason="An optimizer without trainable weights has nothing to change.",
        source="exact: no layer with weights is trainable, and no update was recorded; "
        f"had the loss fallen by more than {MAX_FALL_IN_ERRORS:g} standard errors, something "
        "unseen would be trained",
        false_alarms="`fit` used to measure a loss",
    ),
    Check(
        name="large steps", symptom=Symptom.LARGE_STEPS, condition=_large, threshold=0.5,
        quantity="rms of the update relative to the weight in the first steps",
        statement="The first steps replace the weights, or the learning rate is above what is "
        "usual for the optimizer, and the run came to little.",
        reason="Steps of this size throw away what the weights were, and push units out of reach.",
        source="customary ratio is about 1e-3 (Karpathy, CS231n notes); usual learning rates after "
        "Bengio 2012; only where the run failed, or came less than half of the way at ten times "
        "the usual rate; not of weights that a constraint holds, nor, up to ten times the usual "
        "rate, where the loss still falls at the end and never rose to "
        f"{MAX_RISE:g} times that of the first iterations",
        false_alarms="a run that fails for another reason",
    ),
    Check(
        name="small steps", symptom=Symptom.SMALL_STEPS, condition=_small, threshold=1e-4,
        quantity="median rms of the updates relative to the weights in the first steps",
        statement="All steps together could not have moved the weights by a tenth, and the run "
        "came to little.",
        reason="Weights that have not moved have learned nothing.",
        source="customary ratio is about 1e-3 (Karpathy, CS231n notes), and a tenth of it",
        false_alarms="a fine-tuned model that fails for another reason",
    ),
    Check(
        name="few steps", symptom=Symptom.FEW_STEPS, condition=_few, threshold=SHORT,
        quantity="iterations",
        statement="The run ended after few steps of a usual size, came to little, and was still "
        "improving.",
        reason="It might have gone on: nothing else needs to be wrong.",
        source=f"up to {SHORT} iterations where the loss still falls by a tenth of its whole fall "
        "in the last quarter; below three tenths of the way; a notice, and no verdict, in trials: "
        f"less than {LONG_ENOUGH} iterations or {TRIAL_EPOCHS} epochs; and in runs that were "
        "interrupted or killed",
        false_alarms="hard problems in short runs",
    ),
)  # fmt: skip
