"""Checks of the targets against the loss and the number of outputs."""

import re
from collections.abc import Iterator

from deeplocalize.traces.header import DataSummary
from deeplocalize.traces.schema import Kind

from ..graph import declared_outputs, is_known
from ..outcome import POOR_SKILL, Outcome
from ..program import ACTIVATION_CLASSES, KERNEL_CLASSES, NOISE_CLASSES, n_columns
from ..rules.rule import Severity, Symptom
from .check import Check, Facts, Sighting

# Distinct values above which integers are quantities rather than classes.
MAX_CLASSES = 200

# Share of its first level by which a loss falls where outputs go to a label that never changes.
FALLS = 0.1

# TensorFlow's words for a label that is no class.
_REFUSED = re.compile(r"Received a label value of (-?\d+) which is outside the valid range")

MEDIAN_LOSSES = frozenset({"mean_absolute_error", "mean_absolute_percentage_error"})
"""Distances that are least at a median."""

NOT_FOR_CLASSES = MEDIAN_LOSSES | {"mean_squared_logarithmic_error"}
"""Distances that nobody takes for classes on purpose."""


def _sighted(facts: Facts, weight: float, value: float, sentence: str) -> Sighting:
    return Sighting(Kind.LABEL, None, Severity.SEVERE, weight, value, sentence)


def known_range(facts: Facts) -> tuple[DataSummary, float, float] | None:
    """The target, and its least and greatest value; None where there is none."""
    target = facts.program.target
    if target is None or target.min is None or target.max is None:
        return None
    # The step that an exception ends is not recorded, and its labels are not among the targets.
    refused = [float(label) for label in _REFUSED.findall(facts.ending)]
    return target, min([target.min, *refused]), max([target.max, *refused])


def _class_numbers(facts: Facts, threshold: float) -> Iterator[Sighting]:
    known, loss = known_range(facts), facts.program.loss
    if known is None or loss.name != "sparse_categorical_crossentropy":
        return
    target, low, high = known
    units = facts.head.n_units if facts.head is not None else 0
    if target.is_integer_valued is False:
        yield _sighted(
            facts, 0.95, high,
            f"goes from {low:.4g} to {high:.4g} and is not whole, while {loss.name} takes the "
            "number of a class and cuts off the rest",
        )  # fmt: skip
    elif low < 0 or (units and low == 1 and high == units):
        yield _sighted(
            facts, 0.93, low,
            f"goes from {low:g} to {high:g}, while classes are numbered from 0"
            + (f" to {units - 1}" if units else ""),
        )  # fmt: skip


def _too_few_outputs(facts: Facts, threshold: float) -> Iterator[Sighting]:
    known, head, loss = known_range(facts), facts.head, facts.program.loss
    if known is None or head is None or not head.n_units:
        return
    target, low, high = known
    n_distinct, is_whole = target.n_distinct or 0, bool(target.is_integer_valued)
    missing = 0.0
    if loss.name == "sparse_categorical_crossentropy" and is_whole and low >= 0:
        is_from_one = low == 1 and high == head.n_units
        missing = 0.0 if is_from_one else high + 1 - head.n_units
    elif head.n_units == 1 and n_columns(target) == 1 and is_whole and n_distinct <= MAX_CLASSES:
        is_binary = loss.name == "binary_crossentropy" or head.activation in ("sigmoid", "softmax")
        missing = n_distinct - 2.0 if is_binary else 0.0
    if missing > threshold:
        yield Sighting(
            Kind.OUTPUT, head.kernel_layer, Severity.SEVERE, 0.95, missing,
            f"has {head.n_units} {'unit' if head.n_units == 1 else 'units'} for labels from "
            f"{low:g} to {high:g}",
        )  # fmt: skip


def _binary_targets(facts: Facts, threshold: float) -> Iterator[Sighting]:
    known, loss = known_range(facts), facts.program.loss
    if known is None or loss.name not in ("binary_crossentropy", "binary_focal_crossentropy"):
        return
    target, low, high = known
    outside = max(-low, high - 1.0)
    if outside <= threshold or target.n_distinct is None or target.n_distinct > 2:
        return
    yield _sighted(
        facts, 0.95, outside,
        f"is {low:g} or {high:g}, while {loss.name} needs 0 and 1: its loss can fall without "
        "limit and means nothing",
    )  # fmt: skip


def _loss_does_not_fit(facts: Facts, threshold: float) -> Iterator[Sighting]:
    known, loss, head = known_range(facts), facts.program.loss, facts.head
    if known is None or not loss.name:
        return
    target, low, high = known
    columns = n_columns(target)
    is_continuous = target.is_integer_valued is False or (target.n_distinct or 0) > MAX_CLASSES
    reason, weight, severity = "", 0.0, Severity.SEVERE
    if loss.name in ("binary_crossentropy", "categorical_crossentropy", "kl_divergence") and (
        is_continuous and (low < -threshold or high > 1 + threshold)
    ):
        reason = f"compares probabilities, while targets go from {low:.4g} to {high:.4g}"
        weight = 0.93
    elif loss.name in ("categorical_crossentropy", "kl_divergence") and columns == 1:
        reason, weight = "compares distributions over classes, and there is one column", 0.93
    elif loss.name == "cosine_similarity" and columns == 1:
        reason, weight = "compares directions, and one number has only a sign", 0.93
    elif loss.name == "poisson" and low < -threshold:
        reason, weight = f"counts events, while targets go down to {low:.4g}", 0.9
    elif loss.is_distance and head is not None and columns == 1 < head.n_units:
        reason = f"compares one column of targets with each of {head.n_units} outputs"
        weight = 0.95
    elif loss.is_distance and _are_classes(target, columns):
        reason = "measures distances, while targets are classes: its gradient dies where the "
        reason += "output is saturated, or is not bounded where it is linear"
        is_bounded = head is not None and head.activation in ("sigmoid", "softmax")
        weight, severity = (0.6 if is_bounded else 0.9), facts.harm
        if loss.name in MEDIAN_LOSSES:
            reason += "; and a class of less than half is least missed by never answering it"
        if loss.name in NOT_FOR_CLASSES:
            severity = facts.harm_below(POOR_SKILL)
    if reason:
        yield Sighting(Kind.LOSS, None, severity, weight, high, f"({loss.name}) {reason}")


def _are_classes(target: DataSummary, columns: int) -> bool:
    if columns > 1:
        return len(target.shape) == 2 and (
            bool(target.is_one_hot)
            or (bool(target.is_integer_valued) and (target.min, target.max) == (0, 1))
        )
    return target.n_distinct == 2 and (target.min, target.max) == (0, 1)


def _not_scaled(facts: Facts, threshold: float) -> Iterator[Sighting]:
    known, loss = known_range(facts), facts.program.loss
    if known is None or not loss.is_distance:
        return
    target = known[0]
    size = max(abs(target.mean or 0.0), target.std or 0.0)
    if facts.is_of_stray(Kind.LABEL, target.name, threshold):
        return
    if size > threshold and (target.n_distinct or MAX_CLASSES) > 2:
        yield Sighting(
            Kind.LABEL, None, facts.harm, 0.85, size,
            f"is of the order of {size:.3g}, while initial weights make outputs of the order of 1",
        )  # fmt: skip


def _constant(facts: Facts, threshold: float) -> Iterator[Sighting]:
    known = known_range(facts)
    if known is None or known[0].n_samples < threshold or known[1] != known[2]:
        return
    target, value, _ = known
    is_learned = (
        facts.program.loss.is_built_in and _has_fallen(facts.outcome) and _ends_trained(facts)
    )
    yield Sighting(
        Kind.LABEL, None, Severity.SEVERE if is_learned else Severity.NOTICE, 0.9,
        float(target.n_samples),
        f"is {value:g} for every sample" + (", and the outputs go there" if is_learned else ""),
    )  # fmt: skip


def _has_fallen(outcome: Outcome) -> bool:
    first, last = outcome.first_loss.mean, outcome.last_loss.mean
    return first - last > FALLS * abs(first)


def _ends_trained(facts: Facts) -> bool:
    """Whether a trained kernel makes the outputs, so that only they can follow the labels.

    Not where a frozen part judges what another one makes (the generator of a GAN), or where a
    layer of the user's own returns what is to be least, which is compared with zeros for want of
    labels.
    """
    header = facts.program.header
    if not is_known(header) or not set(declared_outputs(header)) <= {
        layer.name for layer in header.layers
    }:
        return False
    folders = {layer.path.rpartition("/")[0] for layer in header.layers}
    leaves = [layer for layer in header.layers if layer.index >= 0 and layer.path not in folders]
    for layer in sorted(leaves, key=lambda layer: (layer.order, layer.index), reverse=True):
        if layer.class_name in KERNEL_CLASSES:
            return layer.trainable
        if layer.class_name not in ACTIVATION_CLASSES | NOISE_CLASSES | {"Reshape", "Flatten"}:
            return False
    return False


def _imbalanced(facts: Facts, threshold: float) -> Iterator[Sighting]:
    target = facts.program.target
    counts = target.class_counts if target is not None else {}
    total = sum(counts.values())
    if target is None or not 2 <= len(counts) <= MAX_CLASSES or not _holds_classes(facts, target):
        return
    name, most = max(counts.items(), key=lambda item: item[1])
    if most > threshold * total:
        yield Sighting(
            Kind.LABEL, None, Severity.NOTICE, 0.3, most / total,
            f"is class {name} in {most / total:.1%} of what was seen: answering it always is as "
            "often right",
        )  # fmt: skip


def _holds_classes(facts: Facts, target: DataSummary) -> bool:
    loss = facts.program.loss
    return loss.is_crossentropy or bool(target.is_one_hot) or target.n_distinct == 2


CHECKS = (
    Check(
        name="labels are no class numbers", symptom=Symptom.LABELS_OUT_OF_RANGE,
        condition=_class_numbers, threshold=0, quantity="value of a label",
        statement="Labels of a sparse cross-entropy are not whole, negative, or counted from 1.",
        reason="A class that does not exist gets NaN or is cut to another class.",
        source="exact", false_alarms="none known",
    ),
    Check(
        name="fewer outputs than classes", symptom=Symptom.TOO_FEW_OUTPUTS,
        condition=_too_few_outputs, threshold=0, quantity="classes without an output",
        statement="There are more distinct labels than the output layer can answer.",
        reason="A class without an output is never answered.",
        source="exact", false_alarms="whole-numbered quantities between 0 and 200 on a sigmoid",
    ),
    Check(
        name="binary labels are not 0 and 1", symptom=Symptom.LABELS_OUT_OF_RANGE,
        condition=_binary_targets, threshold=1e-3, quantity="distance from the range 0 to 1",
        statement="A binary cross-entropy receives two values other than 0 and 1.",
        reason="-y log p - (1 - y) log(1 - p) has no minimum for such y.",
        source="exact", false_alarms="none known",
    ),
    Check(
        name="loss does not fit the targets", symptom=Symptom.LOSS_DOES_NOT_FIT,
        condition=_loss_does_not_fit, threshold=1e-3, quantity="largest target",
        statement="The loss compares something other than what the targets are.",
        reason="Its minimum is not where outputs equal targets, or no gradient leads there.",
        source="definitions of the losses; a distance to classes is a notice where the run went "
        "well (Golik et al. 2013, 'Cross-entropy vs. squared error training'), and an absolute, "
        "relative or logarithmic one where it came half of the way",
        false_alarms="a distance to classes in a run that fails for another reason",
    ),
    Check(
        name="targets are not scaled", symptom=Symptom.TARGET_NOT_SCALED, condition=_not_scaled,
        threshold=100.0, quantity="mean or standard deviation of the targets",
        statement="Targets of a regression are of the order of hundreds or more.",
        reason="Outputs start near 0, and steps of a usual size take long to arrive; under a "
        "squared error the gradient is as large as the targets.",
        source="initial outputs are of the order of 1 (Glorot and Bengio 2010); two orders of "
        "magnitude; a notice where the run went well",
        false_alarms="a run that fails for another reason",
    ),
    Check(
        name="all labels are the same", symptom=Symptom.LABELS_CONSTANT, condition=_constant,
        threshold=20, quantity="samples",
        statement="There is only one label.",
        reason="Nothing can be learned from a target that never changes.",
        source="exact; a notice unless the loss is one of Keras's that compares outputs with "
        f"labels, fell by {FALLS:.0%} or more, and a trained kernel makes the outputs: nothing "
        "reads the labels of a triplet loss, and a generator is trained with ones through a frozen "
        "judge",
        false_alarms="one-class models",
    ),
    Check(
        name="one class has nearly all samples", symptom=Symptom.CLASS_IMBALANCE,
        condition=_imbalanced, threshold=0.9, quantity="share of the most frequent class",
        statement="Nine labels of ten or more are of one class.",
        reason="Always answering this class is as often right: accuracy says little here, and "
        "the others need weights, or more samples.",
        source="He and Garcia 2009, 'Learning from imbalanced data', count from 10:1; always a "
        "notice",
        false_alarms="rare events are rare: as a notice it is none",
    ),
)  # fmt: skip
