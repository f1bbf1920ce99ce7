import html
import json
from dataclasses import replace

import pytest

from deeplocalize.analyzer.diagnosis import Diagnosis, diagnose
from deeplocalize.analyzer.reports import PLAIN, REPORTS, Style
from deeplocalize.analyzer.reports.markdown import escaped
from deeplocalize.analyzer.reports.terminal import WIDTH
from deeplocalize.analyzer.text import visible
from deeplocalize.traces.schema import Kind

from .runs import HEADER, LABELS, LAYERS, FakeRun, unrecorded
from .test_localization import SCENARIOS


def diagnosis_of(run: FakeRun) -> Diagnosis:
    return diagnose(run.reader(), "run.h5")


def report(run: FakeRun, form: str, style: Style = PLAIN) -> str:
    return REPORTS[form](diagnosis_of(run), run.reader(), style)


def text_of(run: FakeRun, colour: bool = False, verbose: bool = False) -> str:
    return report(run, "text", Style(colour, verbose))


def in_one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("name", SCENARIOS)
def test_text_is_at_most_80_columns_wide_and_without_escapes_unless_asked(name: str) -> None:
    for verbose in (False, True):
        text = text_of(SCENARIOS[name].make(), verbose=verbose)
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
    assert "checked for broken step" in text
    assert "Suspects" not in text


def test_what_could_not_be_judged_is_told_with_its_reason() -> None:
    for form in ("text", "markdown"):
        said = in_one_line(report(FakeRun(), form))
        assert "saturated tanh (for want of recorded output of layers with tanh)" in said


def test_a_run_that_was_killed_is_told_as_one() -> None:
    run = FakeRun()
    run.events = []
    assert "The run ended abruptly or is still going on" in in_one_line(text_of(run))


def test_what_was_not_recorded_is_told() -> None:
    text = in_one_line(text_of(unrecorded(FakeRun(), "mid")))
    assert 'not recorded output of layer 1 "mid" (Lambda)' in text


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
    run = SCENARIOS["a NaN in one input row"].make()
    assert json.loads(report(run, "json")) == diagnosis_of(run).to_dict()


@pytest.mark.parametrize("form", REPORTS)
def test_all_reports_end_with_one_line_break(form: str) -> None:
    text = report(FakeRun(), form)
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_only_a_verbose_report_lists_every_finding() -> None:
    run = SCENARIOS["an exponential that overflows"].make()
    findings = diagnosis_of(run).findings
    assert f"{len(findings)} in all; --verbose lists them" in text_of(run)
    listed = in_one_line(text_of(run, verbose=True))
    assert all(visible(finding.statement) in listed for finding in findings)
    assert listed.count("fatal") >= sum(f.severity.name == "FATAL" for f in findings)


def test_markdown_tells_conclusion_chain_suspects_and_fix() -> None:
    text = report(SCENARIOS["the logarithm of zero"].make(), "markdown")
    assert text.startswith("### ❌ Layer 1 ")
    for part in ("#### What happened", "- **iteration 22 (fault): ", "#### Suspects", "Try: "):
        assert part in text
    assert "#### Findings" not in text
    run = SCENARIOS["the logarithm of zero"].make()
    assert "| since | iterations |" in report(run, "markdown", Style(verbose=True))


def test_markdown_leaves_our_own_sentences_readable() -> None:
    sentence = 'output of layer 1 "dense_1" (Dense): 3.1e+05 + 2 at 12:30; loss {0} > 1!'
    assert escaped(sentence) == sentence


@pytest.mark.parametrize(
    "markup",
    ["_a_", ":cat:", "http://x.y", "www.x.y", "&amp;", "#12", "@me", "~~a~~", "- a", "1. a"],
)
def test_markdown_shows_markup_as_it_stands(markup: str) -> None:
    assert markup not in escaped(markup)
    assert html.unescape(escaped(markup)) == markup


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_what_is_worth_knowing_is_told_without_being_asked(form: str) -> None:
    labels = replace(LABELS, class_counts={"0": 590, "1": 25, "2": 25})
    text = html.unescape(report(FakeRun(400, replace(HEADER, data=(labels,))), form))
    assert "Worth knowing" in text
    assert 'label "y" is class 0 in 92.2% of what was seen' in in_one_line(text)


def test_html_escapes_what_is_worth_knowing() -> None:
    labels = replace(LABELS, name="<b>", class_counts={"0": 590, "1": 25, "2": 25})
    series = tuple(replace(s, tensor="<b>") if s.tensor == "y" else s for s in HEADER.series)
    page = report(FakeRun(400, replace(HEADER, data=(labels,), series=series)), "html")
    notes = page.split("Worth knowing")[1].split("</ul>")[0]
    assert "<li>label &#34;&lt;b&gt;&#34; is class 0" in notes


def test_names_cannot_speak_markdown() -> None:
    name = "</code>@me [x](y) <img src=x onerror=alert(1)> | `$(z)` #1 **b**"
    layers = (LAYERS[0], replace(LAYERS[1], name=name), LAYERS[2])
    run = FakeRun(header=replace(HEADER, layers=layers))
    run.put(22, Kind.OUTPUT, name, n_nan=1).breaks(22, Kind.OUTPUT, name)
    text = report(run, "markdown", Style(verbose=True))
    assert name not in text
    for markup in ("<img", "[x]", "@me", "**b**", "`$("):
        assert markup not in text


FORMS = ("text", "markdown", "html", "notebook")


def shown(run: FakeRun, form: str) -> str:
    """A report in one line, with what any markup of it stands for."""
    text = diagnosis_of(run)._repr_html_() if form == "notebook" else report(run, form)
    return in_one_line(html.unescape(text))


@pytest.mark.parametrize("form", FORMS)
def test_layers_that_could_be_meant_instead_are_named(form: str) -> None:
    run = FakeRun().put(22, Kind.OUTPUT, "fc2", n_nan=5).breaks(22, Kind.OUTPUT, "fc2")
    text = shown(unrecorded(run, "mid"), form)
    assert 'not recorded could be meant as well: layer 1 "mid" (Lambda).' in text


@pytest.mark.parametrize("form", FORMS)
def test_a_cause_that_lies_elsewhere_than_the_fault_is_pointed_to(form: str) -> None:
    run = SCENARIOS["a learning rate that makes weights overflow"].make()
    sentence = "It shows there, but the likeliest cause lies in the optimizer: learning_rate."
    assert sentence in shown(run, form)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "name",
    ["a NaN in one input row", "the logarithm of zero", "a loss of its own that is not finite",
     "weights that something else made NaN between two steps"],
)  # fmt: skip
def test_nothing_is_added_where_fault_and_cause_are_in_one_place(name: str, form: str) -> None:
    assert "It shows there" not in shown(SCENARIOS[name].make(), form)


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_what_came_before_a_fault_in_its_own_iteration_is_not_said_to_be_before_it(
    form: str,
) -> None:
    run = FakeRun().put(22, Kind.INPUT, max=1e36, rms=1e35, mean_abs=1e34)
    run.put(22, Kind.OUTPUT, "mid", n_posinf=5).breaks(22, Kind.OUTPUT, "mid")
    said = in_one_line(report(run, form))
    assert "reaches 1e+36 in iteration 22" in said
    assert "before 22" not in said and "before iteration 22" not in said
    assert {"text": "22 before", "html": "iteration 22 (before)"}.get(
        form, "iteration 22 (before): "
    ) in said


def test_how_often_a_symptom_was_seen_is_counted_among_what_was_recorded() -> None:
    run = FakeRun(300).zero(slice(140, None), Kind.OUTPUT, "fc1")
    said = in_one_line(text_of(run.thin(lambda i: i % 2 == 0)))
    assert "in 80 of the 150 recorded iterations that could be judged" in said
    assert "first at iteration 140" in said
