"""Every check, as data. The order is that of the documentation, and has no other meaning."""

from . import (
    batches,
    broadcast,
    clipping,
    course,
    domain,
    head,
    inputs,
    objective,
    pace,
    penalties,
    schedule,
    settings,
    shuffling,
    standstill,
    start,
    structure,
    targets,
    values,
    weighting,
)
from .check import Check, Facts, Sighting

CHECKS: tuple[Check, ...] = (
    *values.CHECKS,
    *head.CHECKS,
    *domain.CHECKS,
    *targets.CHECKS,
    *objective.CHECKS,
    *broadcast.CHECKS,
    *weighting.CHECKS,
    *shuffling.CHECKS,
    *inputs.CHECKS,
    *batches.CHECKS,
    *start.CHECKS,
    *structure.CHECKS,
    *penalties.CHECKS,
    *pace.CHECKS,
    *standstill.CHECKS,
    *schedule.CHECKS,
    *settings.CHECKS,
    *clipping.CHECKS,
    *course.CHECKS,
)

__all__ = ["CHECKS", "Check", "Facts", "Sighting"]
