"""Rules for values that are NaN or infinite.

Not every such value is a fault: an attention mask of -Inf or a NaN that a layer replaces is
contained. The step is broken once its loss, a weight, a gradient of a weight, an update or the
state is not finite; other tensors then take part in the fault if they turned non-finite in
that same iteration.
"""

from dataclasses import replace

from deeplocalize.traces.schema import Kind

from .rule import Extent, Rule, Scope, Severity, Symptom
from .view import Flags, Values, View, recorded


def _has_nonfinite(view: View, threshold: float) -> Flags:
    flags: Flags = view.n_nonfinite >= threshold
    return flags


def _n_nonfinite(view: View) -> Values:
    counts: Values = view.n_nonfinite.astype(float)
    return counts


def _recorded_and_not_loss_scaled(view: View) -> Flags:
    # A scaled gradient that overflows makes the optimizer skip the step and halve the scale;
    # gradients that are truly broken bring the scale down to 1 within some twenty steps.
    flags: Flags = view.is_recorded & (view.loss_scale <= 1)
    return flags


BROKEN_STEP = Rule(
    name="broken step",
    symptom=Symptom.NON_FINITE,
    scope=Scope(kinds=(Kind.WEIGHT, Kind.LOSS, Kind.WEIGHT_UPDATE, Kind.STATE)),
    condition=_has_nonfinite,
    threshold=1,
    measure=_n_nonfinite,
    quantity="elements that are NaN or infinite",
    patience=1,
    extent=Extent.FIRST,
    severity=Severity.FATAL,
    statement="is not finite",
    reason="Every later iteration computes with the broken weights.",
    source="one non-finite element is enough: IEEE 754 arithmetic does not forget a NaN",
    false_alarms="a model that is built to carry infinities in its state",
    applicable=recorded,
)

BROKEN_GRADIENT = replace(
    BROKEN_STEP,
    name="broken gradient",
    scope=Scope(kinds=(Kind.WEIGHT_GRADIENT,)),
    reason="The optimizer carries a non-finite gradient into the weights.",
    source="one non-finite element is enough; judged only where the loss scale is at most 1, "
    "since dynamic loss scaling skips overflowing steps on purpose",
    false_alarms="an optimizer of the user's own that skips non-finite gradients",
    applicable=_recorded_and_not_loss_scaled,
)

NONFINITE_TENSOR = replace(
    BROKEN_STEP,
    name="non-finite tensor",
    scope=Scope(
        kinds=(
            Kind.INPUT,
            Kind.LABEL,
            Kind.SAMPLE_WEIGHT,
            Kind.PREACTIVATION,
            Kind.OUTPUT,
            Kind.METRIC,
        )
    ),
    severity=Severity.NOTICE,
    reason="Where the step breaks in the same iteration, this is part of the fault.",
    false_alarms="masks of -Inf before a softmax and missing values that a layer replaces are "
    "contained: they stay notices, since the step does not break",
)

NONFINITE_BACKWARD = replace(
    NONFINITE_TENSOR,
    name="non-finite gradient by a tensor",
    scope=Scope(kinds=(Kind.OUTPUT_GRADIENT, Kind.PREACTIVATION_GRADIENT)),
    source=BROKEN_GRADIENT.source,
    false_alarms="a gradient by the network's input that no weight receives stays a notice",
    applicable=_recorded_and_not_loss_scaled,
)

RULES = (BROKEN_STEP, BROKEN_GRADIENT, NONFINITE_TENSOR, NONFINITE_BACKWARD)
