"""The verdict, which is all that a diagnosis comes to in one word.

Faulty is a run with a located fault. Where only the curve of the loss shows that nothing was
learned, the inputs may simply say nothing about the targets: that takes a suspect of at least
`LEAST_CONFIDENCE`, or the verdict is unknown.
"""

from enum import StrEnum

LEAST_CONFIDENCE = 0.5


class Verdict(StrEnum):
    """Whether the run shows a fault."""

    HEALTHY = "healthy"
    FAULTY = "faulty"
    UNKNOWN = "unknown"
