"""Every rule, as data. The order is that of the documentation, and has no other meaning."""

from . import activations, gradients, learning, nonfinite, stillness
from .learning import CurveRule
from .rule import Extent, Rule, Scope, Severity, Symptom

RULES: tuple[Rule, ...] = (
    *nonfinite.RULES,
    *stillness.RULES,
    *gradients.RULES,
    *activations.RULES,
)

CURVE_RULES: tuple[CurveRule, ...] = learning.CURVE_RULES

__all__ = ["CURVE_RULES", "RULES", "CurveRule", "Extent", "Rule", "Scope", "Severity", "Symptom"]
