"""One absurd value in a run that stays finite and does not learn."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from deeplocalize.analyzer.causes import Cause, Target
from deeplocalize.analyzer.conclusion import conclude
from deeplocalize.analyzer.diagnosis import Diagnosis, Verdict, diagnose
from deeplocalize.analyzer.rules.rule import Severity, Symptom
from deeplocalize.analyzer.stray import find_stray
from deeplocalize.traces.schema import Kind

from .networks import VALUES, N, badly, inputs, network, seen, well
from .runs import BATCHES_PER_EPOCH, FakeRun

AT = 7
HUGE = 1e6

REGRESSION = network("linear", 3, "mse", VALUES)

# The same with one label of a million: of such a size are then mean and variance of all of them.
SPOILT = network("linear", 3, "mse", replace(VALUES, max=HUGE, mean=500.0, std=2e4))


def fed(
    run: FakeRun,
    value: float = HUGE,
    kind: Kind = Kind.LABEL,
    rows: slice = slice(AT, None, BATCHES_PER_EPOCH),
) -> FakeRun:
    """The run, which is fed one value in each epoch; its batch costs a thousand times as much."""
    run.put(rows, kind, max=value, rms=value / 11, mean_abs=value / 128)
    run.iterations["loss"][rows] *= 1e3
    return run


def spoilt() -> FakeRun:
    run = badly(SPOILT)
    run.iterations["loss"] *= 2e4**2 / 30
    return run


def diagnosed(run: FakeRun) -> Diagnosis:
    return diagnose(run.reader())


@pytest.mark.parametrize("kind", [Kind.INPUT, Kind.LABEL])
def test_a_value_far_from_all_others_is_what_a_run_fails_for(kind: Kind) -> None:
    diagnosis = diagnosed(fed(badly(REGRESSION), kind=kind))
    first = diagnosis.suspects[0]
    assert (first.cause, first.target, first.layer) == (Cause.INPUT_VALUES, Target.DATA, None)
    assert (
        f'{kind} "' in first.evidence[0] and "reaches 1e+06 in iteration 7, " in first.evidence[0]
    )
    assert "np.argsort(largest)" in first.fix
    assert f"reaches 1e+06 in iteration {AT}" in conclude(diagnosis)


def test_it_is_not_taken_for_the_scale_of_all_targets() -> None:
    assert seen(diagnosed(spoilt()), Symptom.TARGET_NOT_SCALED) is Severity.SEVERE
    assert seen(diagnosed(fed(spoilt())), Symptom.TARGET_NOT_SCALED) is None


def test_it_is_not_taken_for_the_scale_of_a_feature() -> None:
    header = replace(REGRESSION, data=(*REGRESSION.data, inputs(largest_rms=3e4)))
    assert seen(diagnosed(badly(header)), Symptom.FEATURE_SCALES) is Severity.SEVERE
    run = fed(badly(header), kind=Kind.INPUT)
    assert seen(diagnosed(run), Symptom.FEATURE_SCALES) is None


def test_targets_that_are_large_without_it_are_a_matter_of_scale() -> None:
    run = spoilt().put(slice(None), Kind.LABEL, max=2e4, rms=1e4, mean_abs=8e3)
    diagnosis = diagnosed(fed(run, 1e9))
    assert seen(diagnosis, Symptom.TARGET_NOT_SCALED) is Severity.SEVERE
    assert seen(diagnosis, Symptom.OUTLYING_VALUE) is Severity.SEVERE


def test_a_run_that_learns_all_the_same_is_healthy() -> None:
    diagnosis = diagnosed(fed(well(network()), kind=Kind.INPUT))
    assert diagnosis.verdict is Verdict.HEALTHY
    assert seen(diagnosis, Symptom.OUTLYING_VALUE) is None


def test_a_value_whose_step_was_like_all_others_did_no_harm() -> None:
    run = fed(badly(REGRESSION))
    run.iterations["loss"] = badly(REGRESSION).iterations["loss"]
    assert find_stray(run.reader()) is None


def test_a_step_that_blew_up_a_kernel_did_harm_whatever_its_loss() -> None:
    run = fed(badly(REGRESSION))
    run.iterations["loss"] = badly(REGRESSION).iterations["loss"]
    run.statistics["rms"][AT + 1 :, run.index(Kind.WEIGHT, "fc1", "kernel")] *= 100
    assert find_stray(run.reader()) is not None


def test_losses_that_stay_large_are_compared_with_those_before() -> None:
    run = fed(badly(REGRESSION), rows=slice(AT, AT + 1))
    run.iterations["loss"][AT:] = 1e7
    assert find_stray(run.reader()) is not None


def test_a_loss_that_was_recorded_but_once_is_compared_with_nothing() -> None:
    run = fed(badly(REGRESSION), rows=slice(AT, AT + 1))
    run.iterations["loss"][np.arange(N) != AT] = np.nan
    assert find_stray(run.reader()) is None


def test_it_is_found_wherever_in_a_long_run_it_is() -> None:
    run = FakeRun(3000, REGRESSION)
    stray = find_stray(fed(run, rows=slice(2500, 2501)).reader())
    assert stray is not None and stray.iteration == 2500


@pytest.mark.parametrize(
    "rows",
    [slice(AT, None, BATCHES_PER_EPOCH // 2), slice(None), slice(AT, AT + 2)],
    ids=["two rows", "all batches", "one epoch"],
)
def test_what_an_epoch_brings_more_than_once_is_no_single_value(rows: slice) -> None:
    assert find_stray(fed(badly(REGRESSION), rows=rows).reader()) is None


Draw = Callable[[np.random.Generator, tuple[int, int]], NDArray[np.generic]]
LEGITIMATE: dict[str, Draw] = {
    "log-normal": lambda draw, shape: np.exp(3 * draw.standard_normal(shape)),
    "Cauchy": lambda draw, shape: draw.standard_cauchy(shape),
    "counts": lambda draw, shape: draw.poisson(np.exp(2 * draw.standard_normal(shape))),
    "rare ones": lambda draw, shape: draw.random(shape) < 1 / np.prod(shape),
    "sparse": lambda draw, shape: (draw.random(shape) < 0.01) * np.exp(draw.normal(size=shape)),
}


@pytest.mark.parametrize("name", LEGITIMATE)
@pytest.mark.parametrize("n_samples", [1, 32])
def test_heavy_tails_are_no_single_values_even_in_a_run_that_fails(
    name: str, n_samples: int
) -> None:
    draw = np.random.default_rng(0)
    for _ in range(20):
        run = badly(REGRESSION)
        values = np.abs(LEGITIMATE[name](draw, (BATCHES_PER_EPOCH, n_samples))).max(axis=1)
        run.put(slice(None), Kind.LABEL, min=0.0)
        run.statistics["max"][:, run.index(Kind.LABEL)] = np.resize(values, N)
        run.iterations["loss"] *= 1 + np.resize(values, N) ** 2
        assert find_stray(run.reader()) is None
