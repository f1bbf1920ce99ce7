"""Checks of the optimizer's own settings, besides its learning rate."""

from collections.abc import Iterator

import numpy as np

from deeplocalize.traces.schema import Kind

from ..optimizer import OptimizerFacts, optimizer_facts
from ..outcome import POOR_SKILL
from ..rules.rule import Severity, Symptom
from .check import Check, Facts, Sighting

# Share by which weight decay may shrink a weight in one step.
MAX_DECAY = 0.1

# The smallest number of float16, and the size below which gradients are 0 when squared in it.
_LEAST = float(np.finfo(np.float16).smallest_subnormal)
_LEAST_SQUARED = _LEAST**0.5

# Longest momentum of moving statistics that is used without a reason; Keras's default.
LONGEST_USUAL = 0.99

_MEMORIES = ("momentum", "beta_1", "beta_2", "rho")


def _sighting(severity: Severity, weight: float, value: float, sentence: str) -> Sighting:
    return Sighting(Kind.WEIGHT_UPDATE, None, severity, weight, value, sentence)


def _stale(facts: Facts, threshold: float) -> Iterator[Sighting]:
    header, n = facts.program.header, facts.outcome.n_iterations
    for i, layer in enumerate(header.layers):
        momentum = layer.config.get("momentum")
        if layer.class_name != "BatchNormalization" or not isinstance(momentum, int | float):
            continue
        left = float(momentum) ** n
        if layer.trainable and momentum > LONGEST_USUAL and left > threshold:
            yield Sighting(
                Kind.STATE, i, Severity.SEVERE if momentum >= 1 else Severity.NOTICE, 0.85, left,
                f"is still {left:.0%} what it began with: momentum={momentum:g} takes in next to "
                f"nothing of {n} batches, and predictions are normalised by it",
            )  # fmt: skip


def _memory(facts: Facts, threshold: float) -> Iterator[Sighting]:
    optimizer = optimizer_facts(facts.program.header)
    for name in _MEMORIES:
        value = optimizer.setting(name)
        if value is not None and not 0 <= value < threshold:
            yield _sighting(
                Severity.SEVERE, 0.93, value,
                f"comes from {optimizer.class_name} with {name}={value:g}, a running mean that "
                "takes in nothing new or does not fade",
            )  # fmt: skip


def _long_memory(facts: Facts, threshold: float) -> Iterator[Sighting]:
    optimizer, n = optimizer_facts(facts.program.header), facts.outcome.n_iterations
    for name in ("momentum", "beta_1"):
        value = optimizer.setting(name)
        if value is None or not 0 <= value < 1:
            continue
        n_steps = 1 / (1 - value)
        if n_steps > max(threshold, n):
            yield _sighting(
                facts.harm, 0.92, n_steps,
                f"comes from {optimizer.class_name} with {name}={value:g}, which averages over "
                f"{n_steps:.0f} steps of a run that has {n}",
            )  # fmt: skip


def _epsilon(facts: Facts, threshold: float) -> Iterator[Sighting]:
    optimizer = optimizer_facts(facts.program.header)
    epsilon = optimizer.setting("epsilon")
    if epsilon is not None and epsilon > threshold:
        yield _sighting(
            facts.harm, 0.92, epsilon,
            f"comes from {optimizer.class_name} with epsilon={epsilon:g}, by which each step is "
            "divided",
        )  # fmt: skip


def _lost_epsilon(facts: Facts, threshold: float) -> Iterator[Sighting]:
    optimizer = optimizer_facts(facts.program.header)
    epsilon = optimizer.setting("epsilon")
    series = facts.program.header.series
    halves = [k for k in facts.program.kernels if series[k.weight].dtype == "float16"]
    if epsilon is None or not any(kernel.update >= 0 for kernel in halves):
        return
    excess = _LEAST_SQUARED / max(epsilon, _LEAST)
    if excess > threshold:
        yield _sighting(
            facts.harm, 0.96, excess,
            f"comes from {optimizer.class_name} with epsilon={epsilon:g} on weights of float16: "
            f"gradients below {_LEAST_SQUARED:.2g} are 0 when squared, so that steps are divided "
            "by epsilon alone",
        )  # fmt: skip


def _decay(facts: Facts, threshold: float) -> Iterator[Sighting]:
    optimizer = optimizer_facts(facts.program.header)
    decay = _shrinking(optimizer)
    if decay > threshold:
        yield _sighting(
            Severity.SEVERE if decay >= 1 else facts.harm_below(POOR_SKILL), 0.92, decay,
            f"comes from {optimizer.class_name} with weight_decay="
            f"{optimizer.setting('weight_decay'):g}, which takes {decay:.0%} off each weight in "
            "each step",
        )  # fmt: skip


def _shrinking(optimizer: OptimizerFacts) -> float:
    decay = optimizer.setting("weight_decay") or 0.0
    return decay * (optimizer.learning_rate or 0.0)


CHECKS = (
    Check(
        name="moving statistics stay what they were", symptom=Symptom.STALE_STATISTICS,
        condition=_stale, threshold=0.5, quantity="share of the initial values that is left",
        statement="The momentum of a BatchNormalization is so long that its moving statistics hold "
        "their initial values.",
        reason="Training normalises by the batch; predictions use the moving statistics.",
        source=f"exact: momentum ** iterations, where the momentum is above {LONGEST_USUAL:g}, "
        "Keras's default; a notice unless it is 1",
        false_alarms="a model that goes on to be trained: as a notice it is none",
    ),
    Check(
        name="running means of the optimizer out of range", symptom=Symptom.OPTIMIZER_SETTINGS,
        condition=_memory, threshold=1.0, quantity="momentum, beta_1, beta_2 or rho",
        statement="A running mean of the optimizer has a factor of 1 or more, or below 0.",
        reason="m = beta m + (1 - beta) g stays as it is at 1, and grows or flips beyond.",
        source="exact (Kingma and Ba 2015, algorithm 1: 0 <= beta < 1)",
        false_alarms="none known",
    ),
    Check(
        name="momentum longer than the run", symptom=Symptom.OPTIMIZER_SETTINGS,
        condition=_long_memory, threshold=100.0, quantity="steps that the momentum averages over",
        statement="The momentum averages gradients over more steps than the run has.",
        reason="The step follows gradients from long ago, and the model passes what it aims at.",
        source="1 / (1 - momentum) steps; usual are 10 (0.9) to 100 (0.99); a notice unless the "
        "run failed",
        false_alarms="a short run that fails for another reason",
    ),
    Check(
        name="steps divided by a large epsilon", symptom=Symptom.OPTIMIZER_SETTINGS,
        condition=_epsilon, threshold=1.0, quantity="epsilon",
        statement="The epsilon of the optimizer is larger than gradients are.",
        reason="It is there to avoid a division by 0, and divides each step where it dominates.",
        source="defaults are 1e-8 to 1e-7, and up to 1 has been recommended (Keras, "
        "documentation of Adam); a notice unless the run failed",
        false_alarms="very large gradients in a run that fails for another reason",
    ),
    Check(
        name="epsilon too small for float16", symptom=Symptom.LOST_EPSILON,
        condition=_lost_epsilon, threshold=10.0,
        quantity="factor by which a step can exceed the learning rate",
        statement="The optimizer divides by the root of a squared gradient in float16, and its "
        "epsilon is too small to take over where that is 0.",
        reason="A gradient that is lost when squared is divided by epsilon: steps become thousands "
        "of times the learning rate, or infinite.",
        source="exact: the smallest number of float16 is 6e-8, and its root 2.4e-4; ten times the "
        "learning rate; a notice unless the run failed. Weights of mixed precision are float32",
        false_alarms="a run that fails for another reason",
    ),
    Check(
        name="weight decay takes all", symptom=Symptom.OPTIMIZER_SETTINGS, condition=_decay,
        threshold=MAX_DECAY, quantity="weight decay times learning rate",
        statement="Each step takes a tenth of each weight away.",
        reason="What is left after ten steps is what the last ones put there.",
        source="usual are 1e-6 to 1e-4 a step (Loshchilov and Hutter 2019); a notice where the "
        "run came half of the way, unless weights flip their sign",
        false_alarms="a run that fails for another reason",
    ),
)  # fmt: skip
