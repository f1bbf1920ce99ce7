"""Rules for tensors that stay zero and weights that stay as they are.

They look at kernels (two axes or more) and at whole layers: biases start at zero, a bias
before a BatchNormalization has a gradient of zero by mathematics, and an update of a vector
near 1 can be smaller than half a unit in the last place, all in healthy trainings.
"""

from deeplocalize.traces.schema import Kind

from .rule import RECTIFIED, Extent, Rule, Scope, Severity, Symptom
from .view import Flags, Values, View, recorded_and_finite

PATIENCE = 20
WHOLE_RUN_PATIENCE = 30


def _is_all_zero(view: View, threshold: float) -> Flags:
    flags: Flags = view.zero_fraction >= threshold
    return flags


def _layer_has_no_gradient(view: View, threshold: float) -> Flags:
    flags: Flags = _is_all_zero(view, threshold) & (view.layer_peak_rms(Kind.WEIGHT_GRADIENT) == 0)
    return flags


def _layer_does_not_move(view: View, threshold: float) -> Flags:
    flags: Flags = _is_all_zero(view, threshold) & (view.layer_peak_rms(Kind.WEIGHT_UPDATE) == 0)
    return flags


def _zero_fraction(view: View) -> Values:
    return view.zero_fraction


def _other_gradients_are_not_zero(view: View) -> Flags:
    flags: Flags = recorded_and_finite(view) & (view.peak_rms[Kind.WEIGHT_GRADIENT] > 0)
    return flags


def _other_weights_move(view: View) -> Flags:
    flags: Flags = recorded_and_finite(view) & (view.peak_rms[Kind.WEIGHT_UPDATE] > 0)
    return flags


def _gradient_is_not_zero(view: View) -> Flags:
    gradient = view.of(Kind.WEIGHT_GRADIENT, "rms")
    flags: Flags = recorded_and_finite(view) & (gradient > 0)
    return flags


ZERO_OUTPUT = Rule(
    name="output stays zero",
    symptom=Symptom.STAYS_ZERO,
    scope=Scope(kinds=(Kind.OUTPUT,), excluded_activations=RECTIFIED, parametric_layers_only=True),
    condition=_is_all_zero,
    threshold=1.0,
    measure=_zero_fraction,
    quantity="share of elements that are 0",
    patience=PATIENCE,
    extent=Extent.LAST,
    severity=Severity.SEVERE,
    statement="is zero in every element",
    reason="A layer with weights that returns only zeros passes no information on.",
    source="exact; the patience lets zero-initialised heads leave zero in their first steps; "
    "rectified layers are judged as dead units",
    false_alarms="a layer that receives only padding for the rest of the run",
)

ZERO_WEIGHT = Rule(
    name="weight stays zero",
    symptom=Symptom.STAYS_ZERO,
    scope=Scope(kinds=(Kind.WEIGHT,), min_axes=2, companions=(Kind.WEIGHT_UPDATE,)),
    condition=_is_all_zero,
    threshold=1.0,
    measure=_zero_fraction,
    quantity="share of elements that are 0",
    patience=PATIENCE,
    extent=Extent.LAST,
    severity=Severity.SEVERE,
    statement="is zero in every element, although it is trained",
    reason="A trained kernel of zeros makes its layer constant.",
    source="exact; vectors (biases, offsets) and frozen weights are left out",
    false_alarms="strong L1 regularisation that prunes a whole kernel on purpose",
)

ZERO_GRADIENT = Rule(
    name="gradient stays zero",
    symptom=Symptom.STAYS_ZERO,
    scope=Scope(kinds=(Kind.WEIGHT_GRADIENT,), min_axes=2),
    condition=_layer_has_no_gradient,
    threshold=1.0,
    measure=_zero_fraction,
    quantity="share of elements that are 0",
    patience=PATIENCE,
    extent=Extent.LAST,
    severity=Severity.SEVERE,
    statement="is zero, as those of all kernels of the layer, while other layers learn",
    reason="The layer is cut off from the loss: it cannot learn.",
    source="exact; judged only in iterations in which some other weight has a gradient, so that "
    "a perfect fit, where all gradients are zero, is no fault",
    false_alarms="an output whose loss weight is 0; query and key of an attention over sequences "
    "of length 1",
    applicable=_other_gradients_are_not_zero,
    applies="in which some weight has a gradient",
)

UNCHANGED_WEIGHT = Rule(
    name="weight does not change",
    symptom=Symptom.UNCHANGED_WEIGHT,
    scope=Scope(kinds=(Kind.WEIGHT_UPDATE,), min_axes=2, free_weights_only=True),
    condition=_layer_does_not_move,
    threshold=1.0,
    measure=_zero_fraction,
    quantity="share of elements that are 0",
    patience=PATIENCE,
    extent=Extent.LAST,
    severity=Severity.SEVERE,
    statement="is zero, as those of all kernels of the layer, while other layers change",
    reason="A trainable kernel that never moves does not learn.",
    source="exact; frozen layers have no update, and iterations in which nothing moves (gradient "
    "accumulation, skipped steps, a learning rate of 0 at the start of a warm-up) do not count; a "
    "notice where the run came eight tenths of the way all the same",
    false_alarms="as for the gradient that stays zero; two optimizers that take long turns",
    applicable=_other_weights_move,
    applies="in which some weight changes",
)

NOTHING_MOVES = Rule(
    name="no step changes the weight",
    symptom=Symptom.UNCHANGED_WEIGHT,
    scope=Scope(
        kinds=(Kind.WEIGHT_UPDATE,),
        min_axes=2,
        companions=(Kind.WEIGHT_GRADIENT,),
        free_weights_only=True,
    ),
    condition=_is_all_zero,
    threshold=1.0,
    measure=_zero_fraction,
    quantity="share of elements that are 0",
    patience=WHOLE_RUN_PATIENCE,
    extent=Extent.WHOLE,
    severity=Severity.SEVERE,
    statement="is zero in every element, in every iteration, although there are gradients",
    reason="The optimizer does not apply the gradients: a learning rate of 0, or far too small.",
    source="exact; the whole run must agree, so gradient accumulation over fewer steps than the "
    "run has is no fault",
    false_alarms="gradient accumulation over more steps than the run has",
    applicable=_gradient_is_not_zero,
    applies="in which the weight has a gradient",
)

RULES = (ZERO_OUTPUT, ZERO_WEIGHT, ZERO_GRADIENT, UNCHANGED_WEIGHT, NOTHING_MOVES)
