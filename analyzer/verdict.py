"""The verdict, which is all that a diagnosis comes to in one word."""

from enum import StrEnum


class Verdict(StrEnum):
    """Whether the run shows a fault."""

    HEALTHY = "healthy"
    FAULTY = "faulty"
    UNKNOWN = "unknown"
