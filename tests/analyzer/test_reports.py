import json
from dataclasses import replace

import pytest

from deeplocalize.analyzer.diagnosis import Diagnosis, diagnose
from deeplocalize.analyzer.reports import REPORTS
from deeplocalize.analyzer.reports.terminal import WIDTH, visible
from deeplocalize.traces.schema import Kind

from .runs import HEADER, LAYERS, FakeRun, unrecorded
from .test_localization import SCENARIOS


def diagnosis_of(run: FakeRun) -> Diagnosis:
    return diagnose(run.reader(), "run.h5")


def text_of(run: FakeRun, colour: bool = False) -> str:
    return REPORTS["text"](diagnosis_of(run), colour)


def in_one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("name", SCENARIOS)
def test_text_is_at_most_80_columns_wide_and_without_escapes_unless_asked(name: str) -> None:
    text = text_of(SCENARIOS[name].make())
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "\x1b" not in text
    assert "\x1b" in text_of(SCENARIOS[name].make(), colour=True)


def test_the_conclusion_comes_first_and_names_layer_tensor_and_moment() -> None:
    text = in_one_line(text_of(SCENARIOS["an exponential that overflows"].make()))
    assert text.startswith(
        'Layer 1 "mid" (Lambda) receives finite inputs, and its output has 5 infinite of 256 '
        "elements; first at iteration 22 (epoch 1, batch 2), in the forward phase."
    )


def test_a_healthy_run_gets_one_calm_sentence_and_what_was_checked() -> None:
    text = in_one_line(text_of(FakeRun()))
    assert text.startswith("The run looks healthy: 60 recorded iterations of 23 tensors")
    assert "checked for: broken step" in text
    assert "Suspects" not in text


def test_a_run_that_was_killed_is_told_as_one() -> None:
    run = FakeRun()
    run.events = []
    assert "The run ended abruptly or is still going on" in in_one_line(text_of(run))


def test_what_was_not_recorded_is_told() -> None:
    assert 'not recorded: output of layer 1 "mid" (Lambda)' in text_of(unrecorded(FakeRun(), "mid"))


HOSTILE = "[red]x[/red]\x1b[31m\r\n:smile:[/]"


@pytest.mark.parametrize("colour", [False, True])
def test_names_from_a_trace_stay_text(colour: bool) -> None:
    layers = (LAYERS[0], replace(LAYERS[1], name=HOSTILE), LAYERS[2])
    run = FakeRun(header=replace(HEADER, layers=layers))
    run.put(22, Kind.OUTPUT, HOSTILE, n_nan=1).breaks(22, Kind.OUTPUT, HOSTILE)
    text = text_of(run, colour)
    assert "\x1b[31m" not in text
    assert "\r" not in text
    assert visible(HOSTILE) in in_one_line(text)
    assert visible(HOSTILE) == "[red]x[/red]\\x1b[31m\\r\\n:smile:[/]"


def test_the_json_report_is_the_contract() -> None:
    diagnosis = diagnosis_of(SCENARIOS["a NaN in one input row"].make())
    assert json.loads(REPORTS["json"](diagnosis, False)) == diagnosis.to_dict()


def test_all_reports_end_with_one_line_break() -> None:
    for render in REPORTS.values():
        text = render(diagnosis_of(FakeRun()), False)
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
