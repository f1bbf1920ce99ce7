"""Rules for units that no longer respond: dead or saturated."""

import numpy as np

from deeplocalize.traces.schema import Kind

from .rule import RECTIFIED, Extent, Rule, Scope, Severity, Symptom
from .view import Flags, Values, View


def _dead_share(view: View) -> Values:
    """Share of units that are zero for the whole batch; of elements where units are unknown."""
    units = view["n_zero_units"]
    share: Values = np.where(
        units >= 0, units / np.maximum(view.n_units, 1), np.floor(view.zero_fraction)
    )
    return share


def _is_dead(view: View, threshold: float) -> Flags:
    flags: Flags = _dead_share(view) >= threshold
    return flags


def _sigmoid_slope(view: View) -> Values:
    """Mean derivative s(1 - s) relative to its largest possible value, 1/4."""
    slope: Values = 4 * (view["mean"] - view["rms"] ** 2)
    return slope


def _tanh_slope(view: View) -> Values:
    """Mean derivative 1 - t**2, whose largest possible value is 1."""
    slope: Values = 1 - view["rms"] ** 2
    return slope


def _sigmoid_is_flat(view: View, threshold: float) -> Flags:
    flags: Flags = _sigmoid_slope(view) < threshold
    return flags


def _tanh_is_flat(view: View, threshold: float) -> Flags:
    flags: Flags = _tanh_slope(view) < threshold
    return flags


DEAD_UNITS = Rule(
    name="dead units",
    symptom=Symptom.DEAD_UNITS,
    scope=Scope(kinds=(Kind.OUTPUT,), activations=RECTIFIED),
    condition=_is_dead,
    threshold=0.99,
    measure=_dead_share,
    quantity="share of units that are 0 for the whole batch",
    patience=20,
    extent=Extent.LAST,
    severity=Severity.SEVERE,
    statement="is zero for every sample, in all or nearly all of its units",
    reason="A ReLU that is zero for all samples has a zero gradient and cannot recover.",
    source="nearly all units, for twenty iterations and until the end (Lu et al. 2019, 'Dying "
    "ReLU and initialization'); single dead units are ordinary",
    false_alarms="batches of one sample in very sparse networks",
)

SATURATED_SIGMOID = Rule(
    name="saturated sigmoid",
    symptom=Symptom.SATURATED_ACTIVATION,
    scope=Scope(kinds=(Kind.OUTPUT,), activations=frozenset({"sigmoid"}), hidden_layers_only=True),
    condition=_sigmoid_is_flat,
    threshold=0.01,
    measure=_sigmoid_slope,
    quantity="mean derivative relative to its largest possible value",
    patience=20,
    extent=Extent.LAST,
    severity=Severity.NOTICE,
    statement="is saturated: its derivative is nearly zero",
    reason="Hardly any gradient passes a saturated layer.",
    source="exact: the mean of s(1 - s) is mean - rms**2; one hundredth of the largest slope",
    false_alarms="gates that are meant to open or close fully; hence only a notice",
)

SATURATED_TANH = Rule(
    name="saturated tanh",
    symptom=Symptom.SATURATED_ACTIVATION,
    scope=Scope(kinds=(Kind.OUTPUT,), activations=frozenset({"tanh"}), hidden_layers_only=True),
    condition=_tanh_is_flat,
    threshold=0.01,
    measure=_tanh_slope,
    quantity="mean derivative relative to its largest possible value",
    patience=20,
    extent=Extent.LAST,
    severity=Severity.NOTICE,
    statement="is saturated: its derivative is nearly zero",
    reason="Hardly any gradient passes a saturated layer.",
    source="exact: the mean of 1 - t**2 is 1 - rms**2; one hundredth of the largest slope",
    false_alarms="networks that binarize a layer on purpose; hence only a notice",
)

RULES = (DEAD_UNITS, SATURATED_SIGMOID, SATURATED_TANH)
