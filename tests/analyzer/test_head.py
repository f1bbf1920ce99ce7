"""The end of a network: along which axis it sums to 1, and how often it squashes."""

from dataclasses import replace

import pytest

from deeplocalize.analyzer.diagnosis import diagnose
from deeplocalize.analyzer.program import program_of
from deeplocalize.analyzer.rules.rule import Severity, Symptom
from deeplocalize.traces.header import Layer
from deeplocalize.traces.schema import Kind

from .runs import BATCH, FakeRun
from .test_checks import badly, network, seen, well


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
