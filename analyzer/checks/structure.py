"""Checks of the layers between input and output."""

from collections.abc import Iterator

from deeplocalize.traces.schema import Kind

from ..constraint import constraint_of
from ..graph import fed_by, has_weights, is_followed
from ..outcome import FINE_SKILL, POOR_SKILL
from ..program import KERNEL_CLASSES, NOISE_CLASSES, RECURRENT_CLASSES
from ..rules.rule import Severity, Symptom
from .check import Check, Facts, Sighting

SQUASHING = frozenset({"sigmoid", "tanh", "hard_sigmoid", "softsign", "hard_tanh"})

WEIGHING_CLASSES = frozenset({"Multiply", "Dot", "Attention"})
"""Layers that multiply one input by another: a softmax before them shares out attention."""


def _no_nonlinearity(facts: Facts, threshold: float) -> Iterator[Sighting]:
    program = facts.program
    linear = [
        i
        for i, activation in program.hidden
        if activation == "linear" and program.layer(i).class_name not in RECURRENT_CLASSES
    ]
    if len(linear) < threshold or program.head is None or len(linear) != len(program.hidden):
        return
    yield Sighting(
        Kind.OUTPUT, linear[0], facts.harm_below(POOR_SKILL), 0.72, float(len(linear)),
        "is linear, as are all layers up to the output: together they are one linear layer",
    )  # fmt: skip


def _stacked_squashing(facts: Facts, threshold: float) -> Iterator[Sighting]:
    program, ends = facts.program, facts.ends
    squashing = [i for i, activation in program.hidden if activation in SQUASHING]
    if len(squashing) < 2 or facts.harm_below(POOR_SKILL) is Severity.NOTICE:
        return
    gradients = [
        (kernel.layer, ends.early(kernel.gradient, "rms"))
        for kernel in program.kernels
        if kernel.gradient >= 0
    ]
    first = next((rms for layer, rms in gradients if layer == squashing[0]), 0.0)
    last = gradients[-1][1] if gradients else 0.0
    ratio = first / last if last else 1.0
    if ratio < threshold:
        yield Sighting(
            Kind.WEIGHT_GRADIENT, squashing[0], Severity.SEVERE, 0.75, ratio,
            f"is {ratio:.2g} of that of the output layer, behind {len(squashing)} squashing layers",
        )  # fmt: skip


def _is_gate(facts: Facts, layer: int) -> bool:
    """Whether a layer's output weighs something else, or may: what takes it is not known."""
    header = facts.program.header
    ahead, seen = [layer], set[int]()
    while ahead:
        current = ahead.pop()
        seen.add(current)
        class_name = header.layers[current].class_name
        if class_name in WEIGHING_CLASSES:
            return True
        if current != layer and class_name in KERNEL_CLASSES:
            continue
        if not is_followed(header, current):
            return True
        ahead.extend(i for i in fed_by(header, current) if i not in seen)
    return False


def _is_still(facts: Facts, layer: int) -> bool:
    """Whether no step changes the layer: it is cut off, whatever its activation."""
    updates = [kernel.update for kernel in facts.program.kernels if kernel.layer == layer]
    return any(i >= 0 for i in updates) and all(
        facts.ends.most(i, "rms") == 0 for i in updates if i >= 0
    )


def _softmax_inside(facts: Facts, threshold: float) -> Iterator[Sighting]:
    for i, activation in facts.program.hidden:
        if activation == "softmax" and not _is_gate(facts, i) and not _is_still(facts, i):
            yield Sighting(
                Kind.OUTPUT, i, facts.harm_below(threshold), 0.85, facts.outcome.skill or 0.0,
                "passes softmax within the network: its units share a total of 1",
            )  # fmt: skip


def _narrow(facts: Facts, threshold: float) -> Iterator[Sighting]:
    program = facts.program
    if program.head is None or facts.harm_below(FINE_SKILL) is Severity.NOTICE:
        return
    for i, _ in program.hidden:
        config = program.layer(i).config
        width = config.get("units", config.get("filters"))
        if width and width <= threshold and program.head.n_units > width:
            yield Sighting(
                Kind.OUTPUT, i, Severity.SEVERE, 0.82, float(width),
                f"has {width} unit for a network of {program.head.n_units} outputs: all it learns "
                "has to pass through one number",
            )  # fmt: skip


def _no_hidden_layer(facts: Facts, threshold: float) -> Iterator[Sighting]:
    program = facts.program
    weighted = [i for i in program.layers if has_weights(program.header, i)]
    if program.head is None or weighted != [program.head.kernel_layer]:
        return
    if program.layer(weighted[0]).class_name in RECURRENT_CLASSES or not facts.outcome.is_harmed:
        return
    yield Sighting(
        Kind.OUTPUT, program.head.kernel_layer, Severity.SEVERE, 0.7, 1.0,
        "comes from the only layer with weights: the model is linear",
    )  # fmt: skip


def _heavy_noise(facts: Facts, threshold: float) -> Iterator[Sighting]:
    program = facts.program
    trailing = program.head.trailing if program.head is not None else ()
    for i in program.layers:
        layer = program.layer(i)
        rate = float(layer.config.get("rate") or 0.0)
        if layer.class_name in NOISE_CLASSES and rate >= threshold and i not in trailing:
            yield Sighting(
                Kind.OUTPUT, i, facts.harm_below(FINE_SKILL), 0.85, rate,
                f"drops {rate:g} of what it receives",
            )  # fmt: skip


def _crushed(facts: Facts, threshold: float) -> Iterator[Sighting]:
    program, ends = facts.program, facts.ends
    for kernel in program.kernels:
        layer, tensor = program.layer(kernel.layer), program.header.series[kernel.weight].tensor
        constraint = constraint_of(layer, tensor)
        before, after = ends.first(kernel.weight, "rms"), ends.late(kernel.weight, "rms")
        if not (constraint or layer.config.get("kernel_regularizer")) or not before:
            continue
        if after < threshold * before and facts.harm_below(POOR_SKILL) > Severity.NOTICE:
            yield Sighting(
                Kind.WEIGHT, kernel.layer, Severity.SEVERE, 0.92, after / before,
                f"has shrunk from {before:.3g} to {after:.3g} (rms) under its "
                + (f"constraint, {constraint}" if constraint else "regularizer"),
                series=kernel.weight,
            )  # fmt: skip
            return


CHECKS = (
    Check(
        name="no nonlinearity", symptom=Symptom.NO_NONLINEARITY, condition=_no_nonlinearity,
        threshold=1, quantity="hidden layers without an activation",
        statement="Every hidden layer is linear.",
        reason="Linear layers in a row compute no more than one of them.",
        source="exact; a notice where the run came half of the way, for some problems are linear",
        false_alarms="a linear autoencoder that fails for another reason",
    ),
    Check(
        name="gradient lost in squashing layers", symptom=Symptom.STACKED_SQUASHING,
        condition=_stacked_squashing, threshold=0.03,
        quantity="gradient of the first squashing layer relative to that of the output layer",
        statement="Several hidden layers squash, and hardly any gradient reaches the first one.",
        reason="Each sigmoid passes on at most a quarter of a gradient.",
        source="Hochreiter 1991; Glorot and Bengio 2010, section 3; two sigmoids and a half",
        false_alarms="a run that fails for another reason",
    ),
    Check(
        name="softmax within the network", symptom=Symptom.SOFTMAX_INSIDE,
        condition=_softmax_inside, threshold=0.9, quantity="skill of the run",
        statement="A hidden layer has a softmax.",
        reason="Its units compete for a total of 1, so that hardly more than one responds.",
        source="exact; a notice where the run came nine tenths of the way; not where its output "
        "weighs another one (attention, a mixture of experts), where what takes it is not known, "
        "or where no step changes the layer",
        false_alarms="none known",
    ),
    Check(
        name="hidden layer of one unit", symptom=Symptom.NARROW_LAYER, condition=_narrow,
        threshold=1, quantity="units",
        statement="A hidden layer has one unit, and the network several outputs.",
        reason="Everything that the network knows about a sample passes through one number.",
        source="exact; only where the run came less than eight tenths of the way",
        false_alarms="a run that fails for another reason",
    ),
    Check(
        name="no hidden layer", symptom=Symptom.NO_HIDDEN_LAYER, condition=_no_hidden_layer,
        threshold=1, quantity="layers with weights",
        statement="The network has one layer with weights and came to little.",
        reason="A linear model cannot separate what is not linearly separable.",
        source="Minsky and Papert 1969; only where the run failed",
        false_alarms="inputs that say nothing about the targets",
    ),
    Check(
        name="nearly everything is dropped", symptom=Symptom.HEAVY_NOISE, condition=_heavy_noise,
        threshold=0.9, quantity="rate of the dropout",
        statement="A dropout leaves a tenth or less.",
        reason="Hardly any unit is trained in a step, and what is left is scaled up tenfold.",
        source="rates of 0.2 to 0.5 are usual (Srivastava et al. 2014); a notice where the run "
        "came eight tenths of the way",
        false_alarms="very wide layers; a run that fails for another reason",
    ),
    Check(
        name="weights crushed by a regularizer or a constraint", symptom=Symptom.CRUSHED_WEIGHTS,
        condition=_crushed, threshold=0.05, quantity="last rms of a kernel relative to the first",
        statement="A regularised or constrained kernel has nearly vanished, and the run came to "
        "little.",
        reason="The penalty, or the bound, outweighs what the data ask for.",
        source="a twentieth of the initial size; ordinary weight decay leaves kernels near it",
        false_alarms="pruning by L1 on purpose in a run that fails for another reason",
    ),
)  # fmt: skip
