"""What a rule is: a symptom with the condition that shows it, as data.

A rule has no state and reads nothing. How long its condition held is kept by ``evidence.py``;
which series it looks at is worked out by ``watch.py``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from deeplocalize.traces.schema import Kind

from .view import Flags, Values, View, recorded_and_finite

# Activations whose units can die: zero for every negative argument.
RECTIFIED = frozenset({"relu", "relu6"})


class Symptom(StrEnum):
    """What a training run can be seen to suffer from."""

    NON_FINITE = "non_finite"
    STAYS_ZERO = "stays_zero"
    OUTLYING_VALUE = "outlying_value"
    UNCHANGED_WEIGHT = "unchanged_weight"
    EXPLODING_GRADIENT = "exploding_gradient"
    VANISHING_GRADIENT = "vanishing_gradient"
    DEAD_UNITS = "dead_units"
    SATURATED_ACTIVATION = "saturated_activation"
    TINY_UPDATE = "tiny_update"
    LARGE_UPDATE = "large_update"
    LOSS_NOT_DECREASING = "loss_not_decreasing"
    LOSS_DIVERGING = "loss_diverging"
    ACCURACY_NOT_CHANGING = "accuracy_not_changing"
    CONSTANT_OUTPUT = "constant_output"
    OUTPUT_RANGE = "output_range"
    NOT_PROBABILITIES = "not_probabilities"
    SQUASHED_TWICE = "squashed_twice"
    NOT_EXCLUSIVE = "not_exclusive"
    EXCLUSIVE_LABELS = "exclusive_labels"
    LABELS_OUT_OF_RANGE = "labels_out_of_range"
    TOO_FEW_OUTPUTS = "too_few_outputs"
    LOSS_DOES_NOT_FIT = "loss_does_not_fit"
    NOISE_AFTER_OUTPUT = "noise_after_output"
    HEAVY_NOISE = "heavy_noise"
    NO_NONLINEARITY = "no_nonlinearity"
    STACKED_SQUASHING = "stacked_squashing"
    SOFTMAX_INSIDE = "softmax_inside"
    RECTIFIED_LOGITS = "rectified_logits"
    STALE_STATISTICS = "stale_statistics"
    NARROW_LAYER = "narrow_layer"
    NO_HIDDEN_LAYER = "no_hidden_layer"
    EQUAL_WEIGHTS = "equal_weights"
    WEIGHTS_OUT_OF_SCALE = "weights_out_of_scale"
    EXPLODING_VALUES = "exploding_values"
    CRUSHED_WEIGHTS = "crushed_weights"
    INPUT_NOT_SCALED = "input_not_scaled"
    INPUT_CONSTANT = "input_constant"
    TARGET_NOT_SCALED = "target_not_scaled"
    LABELS_CONSTANT = "labels_constant"
    LARGE_STEPS = "large_steps"
    SMALL_STEPS = "small_steps"
    NOTHING_TRAINED = "nothing_trained"
    FEW_STEPS = "few_steps"
    OPTIMIZER_SETTINGS = "optimizer_settings"
    LOST_EPSILON = "lost_epsilon"
    LITTLE_LEARNED = "little_learned"
    LOSS_OSCILLATING = "loss_oscillating"
    LOSS_NEGATIVE = "loss_negative"
    MISLEADING_LOSS = "misleading_loss"
    VALIDATION_GAP = "validation_gap"
    CLASS_IMBALANCE = "class_imbalance"
    FEATURE_SCALES = "feature_scales"
    CONSTANT_FEATURES = "constant_features"
    NO_DISTRIBUTION = "no_distribution"
    SAMPLES_IGNORED = "samples_ignored"
    SORTED_LABELS = "sorted_labels"
    BROADCAST_LOSS = "broadcast_loss"
    NEGATIVE_RATES = "negative_rates"
    NO_BATCH_VARIANCE = "no_batch_variance"
    SAME_FOR_ALL = "same_for_all"
    DYING_RATE = "dying_rate"
    NO_GRADIENT = "no_gradient"
    OUTWEIGHED_LOSS = "outweighed_loss"


class Severity(IntEnum):
    """How much a finding weighs: only severe and fatal ones make the verdict faulty.

    ``NOTICE`` explains and supports; ``SEVERE`` harms the training; ``FATAL`` ends it. Where a
    run broke, the first fault is where it broke, and slower symptoms are its prelude.
    """

    NOTICE = 1
    SEVERE = 2
    FATAL = 3


class Extent(StrEnum):
    """Which stretch of consecutive recorded iterations counts, once it reaches the patience."""

    FIRST = "the first stretch"
    LAST = "the stretch that lasts until the end of the run"
    WHOLE = "the whole run"


@dataclass(frozen=True)
class Scope:
    """Which series a rule looks at; every field narrows.

    ``activations`` are names of the layer's activation (empty: any that is not excluded).
    ``min_axes`` leaves out vectors such as biases. ``companions`` are kinds that must exist for
    the same layer and tensor and whose columns the condition may join. ``free_weights_only``
    leaves out weights that a constraint changes after the optimizer has.
    """

    kinds: tuple[Kind, ...]
    activations: frozenset[str] = frozenset()
    excluded_activations: frozenset[str] = frozenset()
    min_axes: int = 0
    hidden_layers_only: bool = False
    parametric_layers_only: bool = False
    companions: tuple[Kind, ...] = ()
    free_weights_only: bool = False


@dataclass(frozen=True)
class Rule:
    """A symptom of single tensors, decided row by row.

    ``condition(view, threshold)`` and ``measure(view)`` are vectorised over (rows, series).
    Rows that are not ``applicable`` neither extend nor end a stretch; ``applies`` says of the
    iterations that are what is theirs (empty: all that were recorded). ``quantity`` says in
    words what ``measure`` returns, ``statement`` what the tensor does, as a predicate.
    """

    name: str
    symptom: Symptom
    scope: Scope
    condition: Callable[[View, float], Flags]
    threshold: float
    measure: Callable[[View], Values]
    quantity: str
    patience: int
    extent: Extent
    severity: Severity
    statement: str
    reason: str
    source: str
    false_alarms: str
    applicable: Callable[[View], Flags] = field(default=recorded_and_finite)
    applies: str = ""
