"""How many steps a budget lets be measured, from what measuring has cost."""

import numpy as np
import pytest

from deeplocalize.recorder.budget import ONE_MEASURED_OF, Budget
from deeplocalize.recorder.thinning import Thinning

STEP_S, LEFT_OUT_S = 1.0, 0.03
"""What a step takes by itself, and what is counted of one that is left out."""


def run(
    share: float | None, cost_s: float, counted_s: float, n_together: int = 1, n_steps: int = 16000
) -> list[bool]:
    """Which of some steps are measured, at a cost that the clock shows only a part of."""
    budget = Budget(share)
    thinning = Thinning(budget)
    measured: list[bool] = []
    while len(measured) < n_steps:
        first, n = thinning.n_to_skip, thinning.n_to_measure
        are_measured = [first <= k < first + n for k in range(n_together)]
        durations_s = [STEP_S + LEFT_OUT_S + cost_s * is_measured for is_measured in are_measured]
        counted_of_all_s = n_together * LEFT_OUT_S + counted_s * sum(are_measured)
        budget.elapse(sum(durations_s))
        thinning.spend(are_measured, durations_s, counted_of_all_s)
        thinning.choose()
        measured += are_measured
    return measured


@pytest.mark.parametrize("n_together", [1, 8, 32])
@pytest.mark.parametrize("counted_s", [0.0, 0.1, 0.3])
def test_all_that_measuring_costs_is_within_the_budget(counted_s: float, n_together: int) -> None:
    measured = run(0.1, cost_s=0.3, counted_s=counted_s, n_together=n_together)
    assert np.mean(measured) == pytest.approx((0.075 - LEFT_OUT_S) / 0.3, rel=0.07)


def test_one_step_in_eight_is_left_out_for_the_others_to_be_compared_with() -> None:
    measured = run(0.5, cost_s=0.05, counted_s=0.05)
    assert np.mean(measured) == pytest.approx(7 / 8, rel=0.02)


def test_without_a_limit_every_step_is_measured() -> None:
    assert all(run(None, cost_s=0.5, counted_s=0.5))


@pytest.mark.parametrize("n_together", [1, 8, 32])
def test_where_leaving_out_costs_all_of_the_budget_one_step_in_61_is_measured(
    n_together: int,
) -> None:
    measured = run(0.005, cost_s=0.3, counted_s=0.3, n_together=n_together)
    gaps = np.diff(np.flatnonzero(measured))[n_together - 1 :]
    assert (gaps == ONE_MEASURED_OF).all()


def test_what_a_few_steps_took_longer_for_another_reason_does_not_count() -> None:
    budget = Budget(0.1)
    thinning = Thinning(budget)
    measured = []
    for k in range(400):
        measured.append(thinning.n_to_skip == 0)
        other_s = 50.0 if k % 10 == 3 else 0.0
        budget.elapse(1.0)
        thinning.spend([measured[-1]], [1.0 + 0.2 * measured[-1] + other_s], LEFT_OUT_S)
        thinning.choose()
    assert np.mean(measured) == pytest.approx((0.075 - LEFT_OUT_S) / 0.2, rel=0.2)
