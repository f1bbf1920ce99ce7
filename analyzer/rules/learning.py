"""Rules over whole curves, which ask whether the model learns at all.

A flat loss is no fault by itself: a model that fits already has one too. What tells them apart
is the trivial level, the loss of always predicting the same (``levels.py``). Where that level
is not known (custom losses, adversarial training), a finding stays a notice.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from deeplocalize.traces.schema import Kind

from ..curve import Curve, Stretch, head, tail
from .levels import Levels
from .rule import Severity, Symptom

HEAD_SHARE = 0.1
TAIL_SHARE = 0.25

# Share of its first level by which a loss must fall, or it is flat.
FLAT = 0.01


@dataclass(frozen=True)
class CurveView:
    """The two ends of a curve and its levels (None: not known)."""

    n_values: int
    head: Stretch
    tail: Stretch
    levels: Levels | None

    @property
    def standard_error(self) -> float:
        """Standard error of the difference between the ends."""
        return math.hypot(self.head.standard_error, self.tail.standard_error)


@dataclass(frozen=True)
class CurveRule:
    """A symptom of a whole curve: of the loss or of the accuracies.

    ``patience`` is the number of values below which nothing is judged. Without a trivial
    level the severity is at most `Severity.NOTICE`.
    """

    name: str
    symptom: Symptom
    kind: Kind
    condition: Callable[[CurveView, float], bool]
    threshold: float
    measure: Callable[[CurveView], float]
    quantity: str
    patience: int
    severity: Severity
    statement: str
    reason: str
    source: str
    false_alarms: str


def curve_view(curve: Curve, levels: Levels | None) -> CurveView:
    """What a curve rule sees of a curve."""
    return CurveView(curve.n_values, head(curve, HEAD_SHARE), tail(curve, TAIL_SHARE), levels)


def _decrease(view: CurveView) -> float:
    """By what share of its first level, above perfection where that is known, it has fallen."""
    scale = abs(view.head.mean - (view.levels.perfect if view.levels else 0.0))
    return (view.head.mean - view.tail.mean) / scale if scale else 0.0


def _is_flat(view: CurveView, threshold: float) -> bool:
    is_significant = view.head.mean - view.tail.mean > 2 * view.standard_error
    return not (_decrease(view) >= threshold and is_significant)


def _is_flat_at_unknown_level(view: CurveView, threshold: float) -> bool:
    return view.levels is None and view.tail.mean != 0 and _is_flat(view, threshold)


def _share_left(view: CurveView) -> float:
    return view.levels.share_left(view.tail.mean) if view.levels is not None else math.inf


def _is_flat_and_trivial(view: CurveView, threshold: float) -> bool:
    is_known = view.levels is not None
    return is_known and _share_left(view) >= threshold and _is_flat(view, FLAT)


def _growth(view: CurveView) -> float:
    scale = abs(view.head.mean)
    return view.tail.mean / scale if scale else 0.0


def _has_diverged(view: CurveView, threshold: float) -> bool:
    needs_nothing = view.levels.trivial if view.levels is not None else 0.0
    return _growth(view) > threshold and view.tail.mean > needs_nothing


def _gain(view: CurveView) -> float:
    return view.tail.mean - (view.levels.trivial if view.levels is not None else 0.0)


def _is_at_base_rate(view: CurveView, threshold: float) -> bool:
    if view.levels is None or view.levels.trivial > 0.95:
        return False
    return _gain(view) <= threshold


NO_BETTER_THAN_TRIVIAL = CurveRule(
    name="loss no better than always predicting the same",
    symptom=Symptom.LOSS_NOT_DECREASING,
    kind=Kind.LOSS,
    condition=_is_flat_and_trivial,
    threshold=0.95,
    measure=_share_left,
    quantity="loss relative to that of always predicting the same, both above the least possible",
    patience=100,
    severity=Severity.SEVERE,
    statement="ends no better than always predicting the same",
    reason="The model does not learn.",
    source="the level to beat follows from the loss and the labels, such as the entropy of the "
    "classes or the variance of the targets; and "
    "between the first tenth and the last quarter of the run the loss fell by no more than 1 % or "
    "two standard errors. No verdict rests on this alone: it takes a suspect of half confidence",
    false_alarms="targets that cannot be predicted from the inputs; long plateaus (XOR under "
    "plain gradient descent) in runs that stop on them",
)

LOSS_NOT_DECREASING = CurveRule(
    name="loss does not decrease",
    symptom=Symptom.LOSS_NOT_DECREASING,
    kind=Kind.LOSS,
    condition=_is_flat_at_unknown_level,
    threshold=FLAT,
    measure=_decrease,
    quantity="relative decrease of the loss",
    patience=100,
    severity=Severity.NOTICE,
    statement="has not decreased",
    reason="The model does not learn, or it had nothing left to learn: what needs no learning is "
    "not known.",
    source="first tenth against last quarter of the run, at most 1 % or two standard errors",
    false_alarms="adversarial training, fine-tuning of what fits already; hence only a notice",
)

LOSS_DIVERGING = CurveRule(
    name="loss diverges",
    symptom=Symptom.LOSS_DIVERGING,
    kind=Kind.LOSS,
    condition=_has_diverged,
    threshold=100.0,
    measure=_growth,
    quantity="loss relative to the start of the run",
    patience=20,
    severity=Severity.SEVERE,
    statement="has grown far beyond where it started",
    reason="Training makes the model worse: the steps are too large.",
    source="two orders of magnitude between the first tenth and the last quarter, and worse than "
    "always predicting the same",
    false_alarms="a loss whose weights are raised during the run",
)

ACCURACY_NOT_CHANGING = CurveRule(
    name="accuracy at the base rate",
    symptom=Symptom.ACCURACY_NOT_CHANGING,
    kind=Kind.METRIC,
    condition=_is_at_base_rate,
    threshold=0.02,
    measure=_gain,
    quantity="accuracy above the share of the most frequent class",
    patience=100,
    severity=Severity.NOTICE,
    statement="is no better than always answering the most frequent class",
    reason="The model's answers carry no information, whatever its loss does.",
    source="two percentage points over the share of the most frequent class",
    false_alarms="hard problems in short runs; hence only a notice",
)

CURVE_RULES = (
    NO_BETTER_THAN_TRIVIAL,
    LOSS_NOT_DECREASING,
    LOSS_DIVERGING,
    ACCURACY_NOT_CHANGING,
)
