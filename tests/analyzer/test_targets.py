"""Whether output and loss fit the targets."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from deeplocalize.analyzer.causes import Cause
from deeplocalize.analyzer.diagnosis import Verdict, diagnose
from deeplocalize.analyzer.rules.rule import Severity, Symptom
from deeplocalize.traces.header import DataSummary, Header, Layer
from deeplocalize.traces.schema import Kind

from .networks import N, badly, network, seen
from .runs import BATCHES_PER_EPOCH, FakeRun

ONES = DataSummary(
    Kind.LABEL, "y", (None, 1), "float32", 640, 1.0, 1.0, 1.0, 0.0, is_integer_valued=True,
    is_one_hot=False, n_distinct=1, class_counts={"1": 640},
)  # fmt: skip


@pytest.mark.parametrize(
    ("loss", "severity", "is_median"),
    [
        ("mae", Severity.SEVERE, True),
        ("msle", Severity.SEVERE, False),
        ("mse", Severity.NOTICE, False),
    ],
)
def test_an_unusual_distance_to_classes_is_a_fault_in_a_run_of_little_skill(
    loss: str, severity: Severity, is_median: bool
) -> None:
    run = FakeRun(N, network("relu", loss=loss))
    run.iterations["loss"] = np.linspace(0.4, 0.2, N)
    run.put(slice(None), Kind.METRIC, tensor="accuracy", mean=0.6)
    found = diagnose(run.reader()).findings
    (misfit,) = (one for one in found if one.symptom is Symptom.LOSS_DOES_NOT_FIT)
    assert misfit.severity is severity
    assert ("never answering it" in misfit.statement) is is_median


def _always_the_same(loss: object = "binary_crossentropy", *extra: Layer) -> Header:
    return network("sigmoid", units=1, loss=loss, target=ONES, extra=extra)


def test_labels_that_never_change_are_a_fault_where_outputs_are_trained_to_go_there() -> None:
    diagnosis = diagnose(FakeRun(N, _always_the_same()).reader())
    assert seen(diagnosis, Symptom.LABELS_CONSTANT) is Severity.SEVERE
    (constant,) = (f for f in diagnosis.findings if f.symptom is Symptom.LABELS_CONSTANT)
    assert constant.in_numbers.endswith("(samples: 640)")


@pytest.mark.parametrize(
    ("keep", "severity"),
    [
        (lambda i: i == 0, Severity.NOTICE),
        (lambda i: i % BATCHES_PER_EPOCH == 3, Severity.NOTICE),
        (lambda i: i % 7 == 0, Severity.SEVERE),
    ],
    ids=["first", "same batch", "others"],
)
def test_few_batches_do_not_tell_that_all_labels_are_the_same(
    keep: Callable[[int], bool], severity: Severity
) -> None:
    diagnosis = diagnose(FakeRun(N, _always_the_same()).thin(keep).reader())
    assert seen(diagnosis, Symptom.LABELS_CONSTANT) is severity
    (constant,) = (f for f in diagnosis.findings if f.symptom is Symptom.LABELS_CONSTANT)
    is_limited = "in the few batches that were recorded" in constant.statement
    assert is_limited is (severity is Severity.NOTICE)


def _behind_a_frozen_judge() -> Header:
    header = _always_the_same()
    *before, judge = header.layers
    return replace(header, layers=(*before, replace(judge, trainable=False)))


@pytest.mark.parametrize(
    "header",
    [
        _always_the_same("<lambda>"),
        _always_the_same(None),
        _always_the_same("mean_absolute_error", Layer(3, "gap", "gap", "TripletLoss", 3)),
        _behind_a_frozen_judge(),
    ],
)
def test_labels_that_nothing_compares_with_trained_outputs_may_be_the_same(header: Header) -> None:
    diagnosis = diagnose(FakeRun(N, header).reader())
    assert seen(diagnosis, Symptom.LABELS_CONSTANT) is Severity.NOTICE
    assert diagnosis.verdict is Verdict.HEALTHY


def test_labels_to_which_outputs_do_not_go_are_not_what_they_are_compared_with() -> None:
    run = FakeRun(N, _always_the_same())
    run.iterations["loss"] = 0.7 + 0.05 * np.random.default_rng(0).standard_normal(N)
    assert seen(diagnose(run.reader()), Symptom.LABELS_CONSTANT) is Severity.NOTICE


@pytest.mark.parametrize(("size", "is_first"), [(1e20, True), (1e6, False)])
def test_targets_whose_squares_overflow_are_suspected_of_a_loss_that_is_infinite_at_once(
    size: float, is_first: bool
) -> None:
    target = replace(
        ONES, min=size, max=1.5 * size, mean=1.2 * size, std=0.1 * size, is_integer_valued=False,
        n_distinct=None, class_counts={},
    )  # fmt: skip
    run = FakeRun(N, network("linear", units=1, loss="mse", target=target))
    run.put(0, Kind.LOSS, n_posinf=1).breaks(0, Kind.LOSS)
    first, *_ = diagnose(run.reader()).suspects
    assert (first.cause is Cause.LABEL_ENCODING) is is_first
    assert not any("how it went" in sentence for sentence in first.evidence)


@pytest.mark.parametrize(("loss", "advice"), [("mse", "y.std()"), ("msle", "np.log1p(y)")])
def test_targets_out_of_scale_are_brought_to_one_that_the_loss_takes(
    loss: str, advice: str
) -> None:
    target = replace(ONES, min=2e4, max=9e5, mean=1e5, std=7e4, n_distinct=None, class_counts={})
    run = badly(network("linear", 1, loss, target))
    run.iterations["loss"] *= 1e10
    (suspect,) = (s for s in diagnose(run.reader()).suspects if s.cause is Cause.LABEL_ENCODING)
    assert advice in suspect.fix
