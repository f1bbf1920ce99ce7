"""The end of a network: along which axis it sums to 1, and how often it squashes."""

from dataclasses import replace

import numpy as np
import pytest

from deeplocalize.analyzer.diagnosis import diagnose
from deeplocalize.analyzer.program import program_of
from deeplocalize.analyzer.rules.rule import Severity, Symptom
from deeplocalize.traces.header import Layer
from deeplocalize.traces.schema import Kind

from .networks import badly, network, rows_summing_to, seen, well
from .runs import BATCH, FakeRun


def with_mean(run: FakeRun, mean: float) -> FakeRun:
    return run.put(slice(None), Kind.OUTPUT, "fc2", mean=mean, min=0.0, max=1.0, rms=2 * mean)


@pytest.mark.parametrize("activation", ["softmax", "<lambda>"])
def test_columns_that_sum_to_1_over_the_batch_are_a_fault_however_the_run_went(
    activation: str,
) -> None:
    over_batch = with_mean(well(network(activation)), 1 / BATCH)
    assert seen(diagnose(over_batch.reader()), Symptom.NO_DISTRIBUTION) is Severity.SEVERE
    over_classes = with_mean(badly(network(activation)), 1 / 3)
    assert seen(diagnose(over_classes.reader()), Symptom.NO_DISTRIBUTION) is None


def test_other_sums_are_a_fault_of_a_softmax_and_a_weakness_of_the_rest() -> None:
    for activation, severity in (("softmax", Severity.SEVERE), ("<lambda>", Severity.NOTICE)):
        run = with_mean(well(network(activation)), 0.2)
        assert seen(diagnose(run.reader()), Symptom.NO_DISTRIBUTION) is severity


def test_a_softmax_behind_a_softmax_is_one_too_many() -> None:
    last = Layer(3, "end", "end", "Softmax", 3, "softmax", inbound=("fc2",))
    diagnosis = diagnose(badly(network("softmax", extra=(last,))).reader())
    assert seen(diagnosis, Symptom.SQUASHED_TWICE) is Severity.SEVERE
    assert seen(diagnose(badly(network("linear", extra=(last,))).reader()),
                Symptom.SQUASHED_TWICE) is None  # fmt: skip


def test_outputs_that_are_reshaped_before_their_activation_are_counted_behind_it() -> None:
    flat = Layer(3, "flat", "flat", "Flatten", 3, inbound=("fc2",))
    end = Layer(4, "end", "end", "Softmax", 4, "softmax", inbound=("flat",))
    header = network("linear", units=1, extra=(flat, end))
    output = next(s for s in header.series if s.kind is Kind.OUTPUT and s.layer == 2)
    reshaped = replace(output, layer=4, shape=(None, 64), position=output.position + 1)
    head = program_of(replace(header, series=(*header.series, reshaped))).head
    assert head is not None and head.n_units == 64


def test_the_head_is_seen_in_the_last_call_of_its_layer() -> None:
    header = network()
    i = next(k for k, s in enumerate(header.series) if s.kind is Kind.OUTPUT and s.layer == 2)
    again = replace(header.series[i], call=1)
    head = program_of(replace(header, series=(*header.series, again))).head
    assert head is not None and head.output == len(header.series)


def test_a_softmax_along_another_axis_is_a_fault_however_the_run_went() -> None:
    run = rows_summing_to(0.1, well(network()))
    assert seen(diagnose(run.reader()), Symptom.NO_DISTRIBUTION) is Severity.SEVERE
    right = rows_summing_to(1.0, badly(network()))
    assert seen(diagnose(right.reader()), Symptom.NO_DISTRIBUTION) is None


def test_rows_of_a_layer_of_the_users_own_may_sum_to_1() -> None:
    right = rows_summing_to(1.0, badly(network("my_own")))
    assert seen(diagnose(right.reader()), Symptom.NO_DISTRIBUTION) is None


def test_outputs_beyond_1_are_no_probabilities_unless_the_loss_takes_logits() -> None:
    for config, severity in (({}, Severity.SEVERE), ({"from_logits": True}, None)):
        loss = {"class_name": "CategoricalCrossentropy", "config": config}
        run = well(network("linear", loss=loss))
        run.put(slice(None), Kind.OUTPUT, "fc2", min=-2.0, max=5.0)
        assert seen(diagnose(run.reader()), Symptom.NOT_PROBABILITIES) is severity


def test_a_second_softmax_that_keeps_the_loss_up_is_a_fault_however_right_the_answers() -> None:
    last = Layer(3, "end", "end", "Softmax", 3, "softmax", inbound=("fc2",))
    run = well(network("softmax", extra=(last,)))
    assert seen(diagnose(run.reader()), Symptom.SQUASHED_TWICE) is Severity.NOTICE
    run.iterations["loss"] = np.linspace(1.1, 0.7, len(run.iterations["loss"]))
    assert seen(diagnose(run.reader()), Symptom.SQUASHED_TWICE) is Severity.SEVERE


@pytest.mark.parametrize(
    ("framework", "dtype", "severity"),
    [
        ("tensorflow", "float32", Severity.NOTICE),
        ("tensorflow", "float16", Severity.SEVERE),
        ("jax", "float32", Severity.SEVERE),
    ],
)
def test_a_softmax_before_a_loss_of_logits_counts_where_keras_does_not_find_them(
    framework: str, dtype: str, severity: Severity
) -> None:
    loss = {"class_name": "CategoricalCrossentropy", "config": {"from_logits": True}}
    header = network("softmax", loss=loss)
    series = tuple(replace(s, dtype=dtype) for s in header.series)
    header = replace(header, series=series, versions={framework: "1.0"})
    assert seen(diagnose(badly(header).reader()), Symptom.SQUASHED_TWICE) is severity
