"""Every check, as data. The order is that of the documentation, and has no other meaning."""

from . import course, head, inputs, objective, pace, settings, start, structure, targets
from .check import Check, Facts, Sighting

CHECKS: tuple[Check, ...] = (
    *head.CHECKS,
    *targets.CHECKS,
    *objective.CHECKS,
    *inputs.CHECKS,
    *start.CHECKS,
    *structure.CHECKS,
    *pace.CHECKS,
    *settings.CHECKS,
    *course.CHECKS,
)

__all__ = ["CHECKS", "Check", "Facts", "Sighting"]
