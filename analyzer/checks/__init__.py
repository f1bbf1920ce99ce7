"""Every check, as data. The order is that of the documentation, and has no other meaning."""

from . import head, inputs, pace, start, structure, targets
from .check import Check, Facts, Sighting

CHECKS: tuple[Check, ...] = (
    *head.CHECKS,
    *targets.CHECKS,
    *inputs.CHECKS,
    *start.CHECKS,
    *structure.CHECKS,
    *pace.CHECKS,
)

__all__ = ["CHECKS", "Check", "Facts", "Sighting"]
