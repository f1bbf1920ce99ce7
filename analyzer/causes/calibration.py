"""From weights that order suspects to confidences that can be believed.

A weight says how likely a sign alone is the fault. How often the first suspect of a given weight
was right has been counted on the development part of ``benchmarks/faults``; the table of
``docs/effectiveness.md`` shows what became of it on the part that was held back.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .cause import Suspect

# Weight, and share of right first suspects of about that weight, shrunk towards a half by two
# imagined runs of which one was right.
WEIGHTS = (0.0, 0.3, 0.6, 0.75, 0.9, 1.0)
SHARES = (0.0, 0.4, 0.75, 0.85, 0.93, 0.97)

# A likely first suspect explains what speaks for the others too.
EXPLAINED = 0.6


def believable(ranked: Sequence[Suspect]) -> list[Suspect]:
    """The same suspects in the same order, with calibrated confidences."""
    first = _share(ranked[0].confidence) if ranked else 0.0
    return [
        replace(
            suspect,
            confidence=round(
                _share(suspect.confidence) * (1.0 if i == 0 else 1.0 - EXPLAINED * first), 2
            ),
        )
        for i, suspect in enumerate(ranked)
    ]


def _share(weight: float) -> float:
    return float(np.interp(weight, WEIGHTS, SHARES))
