"""Rules for gradients and updates of the wrong size, relative to the run itself.

No absolute sizes: a mean loss and a sum loss differ by the batch size, and adaptive
optimizers do not care about either.
"""

import numpy as np

from deeplocalize.traces.schema import Kind

from .rule import Extent, Rule, Scope, Severity, Symptom
from .view import Flags, Values, View

WEIGHT_AND_UPDATE = (Kind.WEIGHT, Kind.WEIGHT_UPDATE)

# Below this share of the weight's own size, one unit in the last place of float32 is near.
NEGLIGIBLE_UPDATE = 1e-6


def _unscaled_rms(view: View) -> Values:
    rms: Values = view["rms"] / view.loss_scale
    return rms


def _growth(view: View) -> Values:
    """Size relative to the head of the run; NaN where the head was zero."""
    base = np.where(view.baseline_rms > 0, view.baseline_rms, np.nan)
    growth: Values = _unscaled_rms(view) / base
    return growth


def _has_exploded(view: View, threshold: float) -> Flags:
    # Leaving a plateau also multiplies a tiny gradient; only one larger than the weight hurts.
    dwarfs_weight = _unscaled_rms(view) > view.of(Kind.WEIGHT, "rms")
    flags: Flags = (_growth(view) > threshold) & dwarfs_weight
    return flags


def _share_of_peak(view: View) -> Values:
    """Largest gradient of the layer's kernels relative to the largest of the whole network."""
    peak = view.peak_rms[Kind.WEIGHT_GRADIENT]
    share: Values = view.layer_peak_rms(Kind.WEIGHT_GRADIENT) / np.where(peak > 0, peak, np.nan)
    return share


def _has_vanished(view: View, threshold: float) -> Flags:
    # An adaptive optimizer trains on with tiny gradients: they matter when the update is lost.
    update, weight = view.of(Kind.WEIGHT_UPDATE, "rms"), view.of(Kind.WEIGHT, "rms")
    flags: Flags = (_share_of_peak(view) < threshold) & (update < NEGLIGIBLE_UPDATE * weight)
    return flags


def _update_ratio(view: View) -> Values:
    weight = view.of(Kind.WEIGHT, "rms")
    ratio: Values = view["rms"] / np.where(weight > 0, weight, np.nan)
    return ratio


def _update_is_below(view: View, threshold: float) -> Flags:
    flags: Flags = (_update_ratio(view) < threshold) & (view["rms"] > 0)
    return flags


def _update_is_above(view: View, threshold: float) -> Flags:
    flags: Flags = _update_ratio(view) > threshold
    return flags


EXPLODING_GRADIENT = Rule(
    name="exploding gradient",
    symptom=Symptom.EXPLODING_GRADIENT,
    scope=Scope(kinds=(Kind.WEIGHT_GRADIENT,), min_axes=2, companions=(Kind.WEIGHT,)),
    condition=_has_exploded,
    threshold=1e4,
    measure=_growth,
    quantity="rms relative to the first iterations",
    patience=5,
    extent=Extent.LAST,
    severity=Severity.SEVERE,
    statement="has grown without bound and is larger than the weight itself",
    reason="Steps of this size throw the weights away instead of improving them.",
    source="four orders of magnitude over the run's own first iterations, until its end: "
    "ordinary training stays within about two (Glorot and Bengio 2010, section 4)",
    false_alarms="a loss whose weight is raised by four orders of magnitude during the run",
)

VANISHING_GRADIENT = Rule(
    name="vanishing gradient",
    symptom=Symptom.VANISHING_GRADIENT,
    scope=Scope(kinds=(Kind.WEIGHT_GRADIENT,), min_axes=2, companions=WEIGHT_AND_UPDATE),
    condition=_has_vanished,
    threshold=1e-5,
    measure=_share_of_peak,
    quantity="largest rms in the layer relative to that in the network",
    patience=20,
    extent=Extent.LAST,
    severity=Severity.SEVERE,
    statement="is lost on the way back, and its updates no longer change the weight",
    reason="Layers before this point do not learn, whatever the last ones do.",
    source="relative to the largest gradient of the same iteration, so that a converged run, "
    "where all shrink together, is no fault; ten layers of sigmoids lose 4**10, about 1e6 "
    "(Hochreiter 1991; Glorot and Bengio 2010)",
    false_alarms="very large embedding tables under plain gradient descent",
)

TINY_UPDATE = Rule(
    name="tiny update",
    symptom=Symptom.TINY_UPDATE,
    scope=Scope(kinds=(Kind.WEIGHT_UPDATE,), min_axes=2, companions=(Kind.WEIGHT,)),
    condition=_update_is_below,
    threshold=NEGLIGIBLE_UPDATE,
    measure=_update_ratio,
    quantity="rms of the update relative to the weight",
    patience=20,
    extent=Extent.LAST,
    severity=Severity.NOTICE,
    statement="is less than a millionth of the weight",
    reason="The weight hardly moves: the learning rate or the gradient is too small.",
    source="customary ratio is about 1e-3 (Karpathy, CS231n notes, 'ratio of updates to "
    "weights'); float32 resolves 1e-7",
    false_alarms="a converged or fine-tuned model; hence only a notice",
)

LARGE_UPDATE = Rule(
    name="large update",
    symptom=Symptom.LARGE_UPDATE,
    scope=Scope(
        kinds=(Kind.WEIGHT_UPDATE,), min_axes=2, companions=(Kind.WEIGHT,), free_weights_only=True
    ),
    condition=_update_is_above,
    threshold=0.5,
    measure=_update_ratio,
    quantity="rms of the update relative to the weight",
    patience=3,
    extent=Extent.FIRST,
    severity=Severity.NOTICE,
    statement="is more than half as large as the weight",
    reason="The weight is replaced rather than improved: the learning rate is too large.",
    source="customary ratio is about 1e-3 (Karpathy, CS231n notes)",
    false_alarms="weights that start at zero or near it; hence only a notice",
)

RULES = (EXPLODING_GRADIENT, VANISHING_GRADIENT, TINY_UPDATE, LARGE_UPDATE)
