"""The HTML report as text; how a browser shows it is in ``test_html_in_browser.py``."""

import base64
import gzip
import json
import re
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest

from deeplocalize.analyzer.diagnosis import diagnose
from deeplocalize.analyzer.reports import html
from deeplocalize.analyzer.reports.html.payload import bfloat16, pack
from deeplocalize.traces.plots.overview import FIELDS, overview_of
from deeplocalize.traces.plots.series import LINES
from deeplocalize.traces.schema import Kind

from .runs import HEADER, LAYERS, FakeRun, unrecorded
from .test_localization import SCENARIOS


def page_of(run: FakeRun) -> str:
    reader = run.reader()
    return html.render(diagnose(reader, "run.h5"), reader)


def own_part(page: str) -> str:
    """The page without the plotting library."""
    return re.sub(r"<script>.*?</script>", "", page, count=1, flags=re.DOTALL)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_names_its_layer_and_suspects(name: str) -> None:
    run = SCENARIOS[name].make()
    diagnosis = diagnose(run.reader())
    page = own_part(page_of(run))
    assert "Fault in " in page
    for suspect in diagnosis.suspects:
        assert suspect.cause.replace("_", " ") in page
    assert page.count(' fault"') == (diagnosis.first_fault is not None and
                                     diagnosis.first_fault.layer is not None)  # fmt: skip


def test_the_page_needs_nothing_from_outside() -> None:
    page = page_of(FakeRun())
    assert not re.search(r"<(script|link|img|iframe)[^>]*(src|href)=[\"']?(https?:)?//", page)
    assert "@import" not in own_part(page)
    assert len(page.encode()) < 3_000_000


def test_a_layer_named_script_stays_text() -> None:
    name = "</script><script>alert(1)</script>"
    layers = (LAYERS[0], replace(LAYERS[1], name=name), LAYERS[2])
    run = FakeRun(header=replace(HEADER, layers=layers, model_name=name))
    run.put(22, Kind.OUTPUT, name, n_nan=1).breaks(22, Kind.OUTPUT, name)
    page = page_of(run)
    assert name not in page
    assert "<script>alert" not in page
    assert "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_what_was_not_recorded_is_told() -> None:
    page = own_part(page_of(unrecorded(FakeRun(), "mid")))
    assert "observing it would change the run" in page


@pytest.mark.parametrize("n_iterations", [0, 1, 2])
def test_short_runs_have_a_page_too(n_iterations: int) -> None:
    assert "No verdict" in page_of(FakeRun(n_iterations))


def test_the_script_marks_lone_points_of_the_lines_that_are_drawn() -> None:
    script = files("deeplocalize.analyzer.reports.html").joinpath("report.js").read_text()
    (listed,) = re.findall(r"for \(const line of (\[.*?\])\)", script)
    assert tuple(json.loads(listed)) == LINES


def test_packed_numbers_come_back_in_three_digits() -> None:
    overview = overview_of(FakeRun().put(7, Kind.OUTPUT, "mid", n_nan=1).reader(), max_columns=20)
    payload = pack([("whole run", overview)])
    planes = np.frombuffer(gzip.decompress(base64.b64decode(payload.numbers)), np.uint8)
    low, high = planes.reshape(2, -1).astype(np.uint32)
    numbers = ((high << 24) | (low << 16)).view(np.float32)
    (view,) = payload.views
    shape = (len(FIELDS), len(HEADER.series), view["n_columns"])
    for field, packed in zip(FIELDS, numbers.reshape(shape), strict=True):
        np.testing.assert_allclose(packed.T, getattr(overview, field), rtol=2**-8)
    json.dumps(payload.views)


@pytest.mark.parametrize(
    ("value", "comes_back"),
    [(0.0, 0.0), (1.0, 1.0), (-2.5, -2.5), (np.nan, np.nan), (1e300, 3.3895e38), (1e-300, 0.0)],
)
def test_bfloat16_keeps_finite_numbers_finite(value: float, comes_back: float) -> None:
    bits = bfloat16(np.array([value])).astype(np.uint32) << 16
    np.testing.assert_allclose(bits.view(np.float32)[0], comes_back, rtol=1e-4)
