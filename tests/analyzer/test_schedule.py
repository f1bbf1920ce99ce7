"""Learning rates that fall: too early, or when the run is over."""

import numpy as np

from deeplocalize.analyzer.causes import Cause
from deeplocalize.analyzer.diagnosis import diagnose
from deeplocalize.analyzer.rules.rule import Severity, Symptom

from .networks import N, badly, network, seen, well
from .runs import FakeRun


def with_rates(run: FakeRun, rates: object) -> FakeRun:
    run.iterations["learning_rate"] = np.asarray(rates)
    return run


HALVED = 1e-3 * 0.5 ** np.arange(N)


def test_a_rate_that_is_gone_after_a_few_steps_is_what_stops_the_run() -> None:
    diagnosis = diagnose(with_rates(badly(network()), HALVED).reader())
    assert seen(diagnosis, Symptom.DYING_RATE) is Severity.SEVERE
    assert diagnosis.suspects[0].cause is Cause.LEARNING_RATE
    assert "falls from 0.001 to" in diagnosis.suspects[0].evidence[0]


def test_a_rate_may_fall_to_nothing_at_the_end_or_in_a_run_that_learns() -> None:
    cosine = 1e-3 * (1 + np.cos(np.linspace(0, np.pi, N))) / 2
    for run in (with_rates(badly(network()), cosine), with_rates(well(network()), HALVED)):
        assert seen(diagnose(run.reader()), Symptom.DYING_RATE) is None
