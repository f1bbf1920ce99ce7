"""Checks of the output layer against the loss and the targets."""

from collections.abc import Iterator

from deeplocalize.traces.schema import Kind

from ..outcome import FINE_SKILL, POOR_SKILL
from ..program import Head, n_columns
from ..rules.rule import Severity, Symptom
from .check import Check, Facts, Sighting

RANGES: dict[str, tuple[float, float]] = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "relu": (0.0, float("inf")),
    "relu6": (0.0, 6.0),
    "softplus": (0.0, float("inf")),
    "exponential": (0.0, float("inf")),
}
"""Values that an activation can return."""

EXACT = 1e-3
"""Distance from 1 of sums that are 1 by mathematics, in reduced precision: float16 has a spacing
of 9.8e-4 there."""

PROBABILITIES = frozenset({"sigmoid", "hard_sigmoid", "softmax"})


def _one_unit_softmax(facts: Facts, threshold: float) -> Iterator[Sighting]:
    head = facts.head
    if head is None or head.activation != "softmax" or head.n_units != threshold:
        return
    yield Sighting(
        Kind.OUTPUT, head.activated_by, Severity.SEVERE, 0.97, 1.0,
        "is a softmax over one unit, which is 1 whatever the input",
    )  # fmt: skip


def _constant(facts: Facts, threshold: float) -> Iterator[Sighting]:
    head, ends = facts.head, facts.ends
    if head is None or head.output < 0 or not facts.outcome.is_harmed:
        return
    if head.activation == "softmax" and head.n_units == 1:
        return
    if facts.has_few_batches or not ends.reach_far(facts.outcome.n_iterations):
        return
    n_units, n = float(head.n_units or 1), ends.late(head.output, "n")
    constant = ends.late(head.output, "n_constant_units")
    if n >= 4 * n_units and constant >= threshold * n_units:
        yield Sighting(
            Kind.OUTPUT, head.activated_by, Severity.SEVERE, 0.3, constant / n_units,
            "is the same for every sample of a batch at the end of the run",
        )  # fmt: skip


def _range(facts: Facts, threshold: float) -> Iterator[Sighting]:
    head, target = facts.head, facts.program.target
    if head is None or target is None or not facts.program.loss.is_distance:
        return
    if head.activation not in RANGES or target.min is None or target.max is None:
        return
    if n_columns(target) != head.n_units and head.n_units > 1:
        return
    low, high = RANGES[head.activation]
    width = target.max - target.min
    outside = max(low - target.min, target.max - high, 0.0)
    if width > 0 and outside / width > threshold:
        yield Sighting(
            Kind.OUTPUT, head.activated_by, Severity.SEVERE, 0.93, outside / width,
            f"passes {head.activation}, which returns {low:g} to {high:g}, while targets go from "
            f"{target.min:.4g} to {target.max:.4g}",
        )  # fmt: skip


def _not_probabilities(facts: Facts, threshold: float) -> Iterator[Sighting]:
    program, head, ends = facts.program, facts.head, facts.ends
    if head is None or head.output < 0 or not program.loss.is_crossentropy:
        return
    if program.loss.from_logits or head.activation in PROBABILITIES:
        return
    low, high = ends.least(head.output, "min"), ends.most(head.output, "max")
    outside = max(-low, high - 1.0, 0.0)
    # What a layer of the user's own returns has to be seen; the rest is known to leave 0 to 1.
    is_certain = bool(head.activation) and facts.harm_below(POOR_SKILL) > Severity.NOTICE
    if outside > threshold or is_certain:
        yield Sighting(
            Kind.OUTPUT, head.activated_by, Severity.SEVERE, 0.94, outside,
            f"goes from {low:.4g} to {high:.4g} and is taken for probabilities by "
            f"{program.loss.name}",
        )  # fmt: skip


def _squashed_twice(facts: Facts, threshold: float) -> Iterator[Sighting]:
    program, head = facts.program, facts.head
    if head is None or head.activation not in PROBABILITIES:
        return
    if head.inner_activation in PROBABILITIES:
        # Answers may be right all the same: it is the loss that cannot fall.
        is_held_up = facts.outcome.is_far
        yield Sighting(
            Kind.OUTPUT, head.kernel_layer,
            Severity.SEVERE if is_held_up else facts.harm_below(threshold), 0.93,
            facts.outcome.skill or 0.0,
            f"passes {head.inner_activation} before {head.activation}, which receives values from "
            "0 to 1 and cannot tell them far apart",
        )  # fmt: skip
    if not program.loss.from_logits:
        return
    is_harmless = _are_logits_found(facts, head)
    yield Sighting(
        Kind.OUTPUT, head.activated_by,
        Severity.NOTICE if is_harmless else facts.harm_below(threshold), 0.93,
        facts.outcome.skill or 0.0,
        f"passes {head.activation}, while the loss has from_logits=True and squashes what it gets"
        + (" (here Keras finds the logits behind it, and the loss is right)" * is_harmless),
    )  # fmt: skip


def _are_logits_found(facts: Facts, head: Head) -> bool:
    """Whether Keras takes the loss from what its softmax or sigmoid received.

    It does on TensorFlow, where nothing, such as a cast to float32, lies between.
    """
    header = facts.program.header
    if "tensorflow" not in header.versions or head.activation not in ("softmax", "sigmoid"):
        return False
    is_float32 = head.output >= 0 and header.series[head.output].dtype == "float32"
    return is_float32 and not head.trailing


def _not_exclusive(facts: Facts, threshold: float) -> Iterator[Sighting]:
    program, head = facts.program, facts.head
    if head is None or program.loss.from_logits or not program.loss.is_over_classes:
        return
    if head.activation not in ("sigmoid", "hard_sigmoid") or head.n_units < threshold:
        return
    yield Sighting(
        Kind.OUTPUT, head.activated_by, Severity.SEVERE, 0.94, float(head.n_units),
        f"passes {head.activation}, so that its rows do not sum to 1, while {program.loss.name} "
        "expects one distribution over exclusive classes",
    )  # fmt: skip


def _no_distribution(facts: Facts, threshold: float) -> Iterator[Sighting]:
    program, head, ends = facts.program, facts.head, facts.ends
    takes_rows = program.loss.is_over_classes or program.loss.name == "kl_divergence"
    if head is None or head.output < 0 or not takes_rows or program.loss.from_logits:
        return
    is_independent = head.activation in ("sigmoid", "hard_sigmoid")
    low, high = ends.least(head.output, "min"), ends.most(head.output, "max")
    if head.n_units < 2 or is_independent or not (low >= 0 and high <= 1):
        return
    totals = [end(head.output, "mean") * head.n_units for end in (ends.early, ends.late)]
    total = max(totals, key=lambda value: abs(value - 1))
    n_rows = ends.late(head.output, "n") / head.n_units
    # Where columns sum to 1 over the batch, samples share what classes should.
    is_over_batch = all(abs(value * n_rows / head.n_units - 1) < EXACT for value in totals)
    if abs(total - 1) > threshold and (head.activation == "softmax" or is_over_batch):
        yield Sighting(
            Kind.OUTPUT, head.activated_by, Severity.SEVERE, 0.96, abs(total - 1),
            f"passes a softmax, and its rows sum to {total:.3g} on average instead of 1: it is "
            "taken along another axis than that of the classes",
        )  # fmt: skip
    elif abs(total - 1) > threshold:
        yield Sighting(
            Kind.OUTPUT, head.activated_by, facts.harm_below(FINE_SKILL), 0.9, abs(total - 1),
            f"has rows that sum to {total:.3g} on average, while {program.loss.name} expects "
            "distributions, which sum to 1",
        )  # fmt: skip


def _exclusive_labels(facts: Facts, threshold: float) -> Iterator[Sighting]:
    head, target = facts.head, facts.program.target
    if head is None or target is None or head.activation != "softmax" or head.n_units < threshold:
        return
    is_multi_hot = (
        n_columns(target) == head.n_units
        and len(target.shape) == 2
        and bool(target.is_integer_valued)
        and target.is_one_hot is False
        and (target.min, target.max) == (0, 1)
    )
    if is_multi_hot:
        per_row = (target.mean or 0.0) * head.n_units
        yield Sighting(
            Kind.OUTPUT, head.activated_by, Severity.SEVERE, 0.94, per_row,
            f"passes softmax, whose rows sum to 1, while {per_row:.3g} labels a sample are set",
        )  # fmt: skip


def _rectified_logits(facts: Facts, threshold: float) -> Iterator[Sighting]:
    head = facts.head
    if head is None or head.inner_activation not in ("relu", "relu6"):
        return
    if head.activation in PROBABILITIES:
        yield Sighting(
            Kind.OUTPUT, head.kernel_layer, facts.harm_below(threshold), 0.85,
            facts.outcome.skill or 0.0,
            f"passes {head.inner_activation} before {head.activation}: logits below 0 are lost, "
            "with their gradients",
        )  # fmt: skip


def _noise_after_output(facts: Facts, threshold: float) -> Iterator[Sighting]:
    head = facts.head
    for i in head.trailing if head is not None else ():
        rate = float(facts.program.layer(i).config.get("rate") or 0.0)
        if rate > threshold:
            yield Sighting(
                Kind.OUTPUT, i, Severity.SEVERE, 0.95, rate,
                f"drops {rate:g} of the model's own answers before the loss sees them",
            )  # fmt: skip


CHECKS = (
    Check(
        name="softmax over one unit", symptom=Symptom.CONSTANT_OUTPUT,
        condition=_one_unit_softmax, threshold=1, quantity="units of the output layer",
        statement="The output is a softmax over a single unit.",
        reason="exp(z) / exp(z) is 1: the output does not depend on the input. Keras computes "
        "cross-entropies from the logits, so that the loss may fall all the same.",
        source="exact",
        false_alarms="none known",
    ),
    Check(
        name="constant output", symptom=Symptom.CONSTANT_OUTPUT, condition=_constant,
        threshold=1.0, quantity="share of units without variance over the batch",
        statement="At the end of the run every sample of a batch gets the same output.",
        reason="An output without variance over samples says nothing about the inputs.",
        source="exact: all units, bit for bit, and only where the run came to little",
        false_alarms="batches of equal samples",
    ),
    Check(
        name="output cannot reach the targets", symptom=Symptom.OUTPUT_RANGE, condition=_range,
        threshold=0.05, quantity="share of the targets' range that the output cannot reach",
        statement="The activation of the output returns values of a range that leaves out targets.",
        reason="Targets outside of the range can only be missed.",
        source="range of the activation against that of the targets; a twentieth of it allows for "
        "rounding and for targets a little past 0 or 1",
        false_alarms="outliers among the targets that are to be clipped on purpose",
    ),
    Check(
        name="output is no probability", symptom=Symptom.NOT_PROBABILITIES,
        condition=_not_probabilities, threshold=1e-3,
        quantity="distance of the recorded outputs from the range 0 to 1",
        statement="A cross-entropy receives values outside of 0 to 1 as probabilities.",
        reason="The logarithm of such values is clipped: gradients vanish or point anywhere.",
        source="recorded values, a thousandth allows for reduced precision; in a run that went "
        "badly also any activation that is not made for probabilities",
        false_alarms="none known: a loss with from_logits=True is left out",
    ),
    Check(
        name="squashed twice", symptom=Symptom.SQUASHED_TWICE, condition=_squashed_twice,
        threshold=0.7, quantity="skill of the run",
        statement="Probabilities are squashed once more: by a second activation, or by a loss with "
        "from_logits=True.",
        reason="The loss cannot come near 0, and its gradient is damped.",
        source="exact; a notice where the run came seven tenths of the way all the same, unless "
        "there are two activations and the loss itself came less than half of the way",
        false_alarms="none known; Keras on TensorFlow takes the logits from behind a built-in "
        "activation, with a warning, so that no harm is done there",
    ),
    Check(
        name="sigmoid for exclusive classes", symptom=Symptom.NOT_EXCLUSIVE,
        condition=_not_exclusive, threshold=2, quantity="units of the output layer",
        statement="A categorical cross-entropy receives independent sigmoids.",
        reason="Only the unit of the true class gets a gradient that is meant for it.",
        source="exact",
        false_alarms="none known",
    ),
    Check(
        name="rows do not sum to 1", symptom=Symptom.NO_DISTRIBUTION, condition=_no_distribution,
        threshold=0.05, quantity="distance of the rows' mean sum from 1",
        statement="Outputs between 0 and 1 go into a categorical cross-entropy, and their rows do "
        "not sum to 1.",
        reason="The cross-entropy of a distribution punishes the other classes only through their "
        "sum.",
        source="recorded means times units, at both ends of the run; a twentieth allows for "
        "reduced precision and padding; a notice where the run came eight tenths of the way, "
        "since Keras divides by the sum, unless it is a softmax, whose sum is 1 along its axis. "
        "Sigmoids have a check of their own",
        false_alarms="rows that a mask sets to 0",
    ),
    Check(
        name="softmax for labels that are not exclusive", symptom=Symptom.EXCLUSIVE_LABELS,
        condition=_exclusive_labels, threshold=2, quantity="labels a sample",
        statement="Several labels of a sample are set, and the output's rows sum to 1.",
        reason="Each label takes from the others: a sample with two labels reaches a half on both.",
        source="exact: rows of 0 and 1 that do not sum to 1",
        false_alarms="one-hot rows of which some are empty on purpose (padding)",
    ),
    Check(
        name="rectified logits", symptom=Symptom.RECTIFIED_LOGITS, condition=_rectified_logits,
        threshold=0.8, quantity="skill of the run",
        statement="A relu stands between the last kernel and its softmax or sigmoid.",
        reason="Logits below 0 carry the evidence against a class; they and their gradients are "
        "lost.",
        source="exact; a notice where the run came eight tenths of the way all the same",
        false_alarms="none known",
    ),
    Check(
        name="noise after the output", symptom=Symptom.NOISE_AFTER_OUTPUT,
        condition=_noise_after_output, threshold=0.0, quantity="rate",
        statement="A dropout stands behind the output layer.",
        reason="Answers are replaced by 0 at random, right ones too.",
        source="exact",
        false_alarms="none known",
    ),
)  # fmt: skip
