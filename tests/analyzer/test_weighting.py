"""Samples whose errors count nothing."""

from dataclasses import replace

import numpy as np
import pytest

from deeplocalize.analyzer.causes import Cause
from deeplocalize.analyzer.diagnosis import Verdict, diagnose
from deeplocalize.analyzer.rules.rule import Severity, Symptom
from deeplocalize.traces.header import DataSummary, Header, Series
from deeplocalize.traces.schema import Kind

from .networks import BINARY, N, network, seen, well
from .runs import BATCH, FakeRun

WEIGHTS = DataSummary(Kind.SAMPLE_WEIGHT, "", (None,), "float32", 640, 0.0, 1.0, 0.5, 0.5)


def weighted() -> Header:
    """A binary classifier of one output whose samples have weights."""
    header = network("sigmoid", 1, "binary_crossentropy", replace(BINARY, shape=(None,)))
    series = Series(Kind.SAMPLE_WEIGHT, 1, None, 0, "", (None,))
    return replace(header, series=(*header.series, series), data=(*header.data, WEIGHTS))


def test_a_run_in_which_no_sample_counts_is_the_datas_fault() -> None:
    diagnosis = diagnose(well(weighted()).zero(slice(None), Kind.SAMPLE_WEIGHT).reader())
    assert diagnosis.verdict is Verdict.FAULTY
    assert diagnosis.suspects[0].cause is Cause.DATA_OTHER
    assert "is 0 for every sample" in diagnosis.suspects[0].evidence[0]


def test_samples_may_count_nothing_among_others() -> None:
    run = well(weighted()).zero(slice(8), Kind.SAMPLE_WEIGHT)
    assert seen(diagnose(run.reader()), Symptom.SAMPLES_IGNORED) is None


@pytest.mark.parametrize(
    ("ignored", "severity"), [(0, Severity.SEVERE), (1, Severity.SEVERE), (None, None)]
)
def test_a_class_whose_samples_all_count_nothing_is_named(
    ignored: int | None, severity: Severity | None
) -> None:
    run: FakeRun = well(weighted())
    of_class_0 = np.random.default_rng(0).integers(8, 20, N)
    n_zero = {0: of_class_0, 1: BATCH - of_class_0, None: np.minimum(of_class_0 + 1, BATCH)}
    label, weight = run.index(Kind.LABEL), run.index(Kind.SAMPLE_WEIGHT)
    run.statistics["n"][:, [label, weight]] = BATCH
    run.statistics["n_zero"][:, label] = of_class_0
    run.statistics["n_zero"][:, weight] = n_zero[ignored]
    diagnosis = diagnose(run.reader())
    assert seen(diagnosis, Symptom.SAMPLES_IGNORED) is severity
    if severity is not None:
        assert f"every sample of class {ignored}" in diagnosis.suspects[0].evidence[0]
