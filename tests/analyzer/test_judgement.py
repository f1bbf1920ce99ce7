"""Which fix helped, and which helped most."""

from dataclasses import replace

import pytest

from deeplocalize.analyzer.causes import Suspect
from deeplocalize.analyzer.trial import Status, Trial, spread_of
from deeplocalize.analyzer.whatif.judgement import judge, ranked

from .replays import DATA, LONGER, RATE, SCALE


@pytest.mark.parametrize(
    ("skills", "unchanged", "expected"),
    [
        ((0.9, 0.8, 0.85), (0.1, 0.0, 0.2), Status.VERIFIED),
        ((0.1, 0.05, 0.1), (0.1, 0.0, 0.1), Status.REFUTED),
        ((0.0, 0.0, 0.0), (0.5, 0.6, 0.5), Status.REFUTED),
        ((0.9, 0.1, 0.1), (0.1, 0.1, 0.1), Status.INCONCLUSIVE),
        ((0.2, 0.02, 0.2), (0.1, 0.0, 0.1), Status.INCONCLUSIVE),
        ((0.96, 0.97, 0.98), (0.95, 0.95, 0.95), Status.INCONCLUSIVE),
    ],
)
def test_a_gain_counts_if_it_stands_out_of_the_noise(
    skills: tuple[float, ...], unchanged: tuple[float, ...], expected: Status
) -> None:
    assert judge("a change", skills, unchanged).status is expected


def tried(one: Suspect, status: Status, gain: float) -> Suspect:
    return replace(one, trial=Trial(status, "change", spread_of([gain]), spread_of([gain])))


def test_suspects_are_ranked_by_status_then_by_clearly_larger_gains_then_as_before() -> None:
    suspects = [
        tried(RATE, Status.REFUTED, 0.01),
        DATA,
        tried(LONGER, Status.VERIFIED, 0.41),
        tried(SCALE, Status.INCONCLUSIVE, 0.9),
        tried(SCALE, Status.VERIFIED, 0.42),
        tried(RATE, Status.VERIFIED, 0.8),
    ]
    order = [suspects.index(one) for one in ranked(suspects)]
    assert order == [5, 2, 4, 1, 3, 0]
