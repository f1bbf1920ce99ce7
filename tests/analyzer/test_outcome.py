"""What a training came to, from what was recorded of it."""

import numpy as np
import pytest

from deeplocalize.analyzer.curve import Stretch, gather_curve
from deeplocalize.analyzer.outcome import Outcome, State, accuracy_at_last


@pytest.mark.parametrize(("n_before", "n_batches"), [(0, 40), (0, 100), (28, 44)])
def test_running_means_of_an_epoch_give_the_mean_of_its_last_batches(
    n_before: int, n_batches: int
) -> None:
    n = n_before + n_batches
    accuracies = np.random.default_rng(0).uniform(size=n) * np.linspace(0.1, 1.0, n)
    count = np.arange(n) + 1
    running = np.cumsum(accuracies) / count
    running[n_before:] = np.cumsum(accuracies[n_before:]) / count[:n_batches]
    curve = gather_curve(np.arange(n), running)
    expected = accuracies[-(n // 4) :].mean()
    assert accuracy_at_last(curve, n_batches) == pytest.approx(expected)


def test_accuracies_that_are_no_running_means_are_taken_as_they_are() -> None:
    accuracies = np.linspace(0.0, 1.0, 40)
    curve = gather_curve(np.arange(40), accuracies)
    assert accuracy_at_last(curve, 0) == pytest.approx(accuracies[-10:].mean())


def test_a_loss_that_broke_is_not_told_as_if_it_had_ended_finite() -> None:
    def told(state: State) -> str:
        first, last = Stretch(10, 2.0, 0.1), Stretch(10, 1.0, 0.1)
        return str(Outcome(state, None, None, first, last, None, None, None, 40))

    assert "at last" in told(State.STUCK)
    assert "at last" not in told(State.BROKEN)
    assert "before it was not finite any more" in told(State.BROKEN)
