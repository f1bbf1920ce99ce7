"""Layers that leave no difference between the samples of a batch."""

from dataclasses import replace
from typing import Any

import pytest

from deeplocalize.analyzer.causes import Cause
from deeplocalize.analyzer.diagnosis import diagnose
from deeplocalize.analyzer.rules.rule import Severity, Symptom
from deeplocalize.traces.header import Header
from deeplocalize.traces.schema import Kind

from .networks import badly, network, seen, well
from .runs import FakeRun


def with_middle(class_name: str, **config: Any) -> Header:
    header = network()
    middle = replace(header.layers[1], class_name=class_name, config=config)
    return replace(header, layers=(header.layers[0], middle, header.layers[2]))


def normalising(n: int, rms: float) -> FakeRun:
    run = badly(with_middle("BatchNormalization", axis=-1, momentum=0.99))
    return run.put(slice(None), Kind.OUTPUT, "mid", n=n, rms=rms)


def test_a_batch_of_one_leaves_nothing_to_normalise() -> None:
    diagnosis = diagnose(normalising(8, 0.0).reader())
    assert seen(diagnosis, Symptom.NO_BATCH_VARIANCE) is Severity.SEVERE
    first = diagnosis.suspects[0]
    assert first.layer is not None
    assert (first.cause, first.layer.name) == (Cause.EPOCHS_OR_BATCH_SIZE, "mid")


@pytest.mark.parametrize(("n", "rms"), [(16, 0.0), (8, 0.5)])
def test_several_values_or_a_result_of_another_size_are_normalised(n: int, rms: float) -> None:
    assert seen(diagnose(normalising(n, rms).reader()), Symptom.NO_BATCH_VARIANCE) is None


def mixing(run: FakeRun, *layers: str) -> FakeRun:
    for layer in layers:
        width = 3 if layer == "fc2" else 8
        run.put(slice(None), Kind.OUTPUT, layer, n_constant_units=width)
    return run


def test_the_layer_behind_which_all_samples_are_the_same_is_named() -> None:
    diagnosis = diagnose(mixing(badly(with_middle("Own")), "mid", "fc2").reader())
    first = diagnosis.suspects[0]
    assert first.layer is not None
    assert (first.cause, first.layer.name) == (Cause.EXTRA_LAYER, "mid")


@pytest.mark.parametrize(
    "run",
    [
        mixing(badly(with_middle("Own")), "fc1", "mid", "fc2"),
        mixing(badly(with_middle("Own")), "mid"),
        mixing(badly(with_middle("Own")), "fc2"),
        mixing(well(with_middle("Own")), "mid", "fc2"),
    ],
)
def test_a_layer_is_not_blamed_for_what_comes_in_or_does_no_harm(run: FakeRun) -> None:
    assert seen(diagnose(run.reader()), Symptom.SAME_FOR_ALL) is None
