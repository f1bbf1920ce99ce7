"""The check of gradients that the optimizer cuts down until nothing is left of them."""

import math
from collections.abc import Iterator

from deeplocalize.traces.schema import Kind

from ..optimizer import OptimizerFacts, optimizer_facts
from ..outcome import POOR_SKILL
from ..program import Kernel
from ..rules.rule import Severity, Symptom
from .check import Check, Facts, Sighting
from .pace import MIN_JOURNEY

# An adaptive optimizer divides the cut out again, unless what is left is near its epsilon.
NEAR_EPSILON = 10.0


def _clipped(facts: Facts, threshold: float) -> Iterator[Sighting]:
    optimizer, n_steps = optimizer_facts(facts.program.header), facts.outcome.n_iterations
    kernels = [k for k in facts.program.kernels if min(k.gradient, k.update) >= 0]
    if not kernels or facts.harm_below(POOR_SKILL) is Severity.NOTICE:
        return
    journey = n_steps * max(_step(facts, kernel) for kernel in kernels)
    for name in ("clipnorm", "global_clipnorm", "clipvalue"):
        limit = optimizer.setting(name)
        if limit is None or not journey < MIN_JOURNEY:
            continue
        sizes = [size for kernel in kernels if (size := _size(facts, kernel, name)) > 0]
        if not sizes or not all(_is_lost(optimizer, kernel, name, limit) for kernel in kernels):
            continue
        size = math.hypot(*sizes) if name == "global_clipnorm" else min(sizes)
        if limit < threshold * size:
            yield Sighting(
                Kind.WEIGHT_UPDATE, None, Severity.SEVERE, 0.96, limit / size,
                f"comes from {optimizer.class_name} with {name}={limit:g}, while gradients reach "
                f"{size:.2g}: they are cut to {limit / size:.1g} of themselves, so that "
                f"{n_steps} steps move no kernel by more than {journey:.1g} of its size",
            )  # fmt: skip


def _step(facts: Facts, kernel: Kernel) -> float:
    weight = facts.ends.early(kernel.weight, "rms")
    return facts.ends.early(kernel.update, "rms") / weight if weight > 0 else math.inf


def _size(facts: Facts, kernel: Kernel, setting: str) -> float:
    """What a setting compares: the norm of a gradient, or its largest element."""
    ends = facts.ends
    if setting == "clipvalue":
        bounds = (ends.early(kernel.gradient, column) for column in ("min", "max"))
        return max(map(abs, bounds))
    return ends.early(kernel.gradient, "rms") * math.sqrt(math.prod(kernel.shape))


def _is_lost(optimizer: OptimizerFacts, kernel: Kernel, setting: str, limit: float) -> bool:
    """Whether steps are as small as the gradients that are left."""
    if optimizer.class_name == "SGD":
        return True
    left = limit if setting == "clipvalue" else limit / math.sqrt(math.prod(kernel.shape))
    return left < NEAR_EPSILON * (optimizer.setting("epsilon") or 0.0)


CHECKS = (
    Check(
        name="gradients are clipped away", symptom=Symptom.OPTIMIZER_SETTINGS, condition=_clipped,
        threshold=1e-3, quantity="clipped size of a gradient relative to its own",
        statement="The optimizer clips gradients to less than a thousandth of what they are, and "
        "all steps together could not have moved the weights by a tenth.",
        reason="Clipping is to hold back the rare large gradient (Pascanu et al. 2013), which is "
        "larger than a limit of the usual size; a limit far below that scales all of them down.",
        source="three orders of magnitude below the smallest of the kernels' gradients in the "
        "first iterations; adaptive optimizers divide the cut out again, and count only where what "
        f"is left is within {NEAR_EPSILON:g} times their epsilon; only where the run came to less "
        "than half of the way",
        false_alarms="a fine-tuned model that fails for another reason",
    ),
)  # fmt: skip
