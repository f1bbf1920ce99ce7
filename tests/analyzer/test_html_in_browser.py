"""The HTML report as a browser shows it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deeplocalize.analyzer.diagnosis import diagnose
from deeplocalize.analyzer.reports import html
from deeplocalize.traces import Histogram, create_writer, open_trace
from deeplocalize.traces.schema import Kind

from .browser import CHROMIUM, DRIVER, NEEDS, Page, chromium
from .runs import HEADER, LAYERS, FakeRun

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=NEEDS)

HOSTILE = "</script><script>window.pwned=1</script><img src=x onerror=window.pwned=1>$$\\x$$"

# Where a row and an iteration of the heat map are in the window.
_SPOT = """
const view = Bokeh.index.find_one(Bokeh.documents[0].get_model_by_name("heatmap"))
document.getElementById("heatmap").scrollIntoView({block: "center", behavior: "instant"})
const box = view.el.getBoundingClientRect()
const {x_scale, y_scale} = view.frame
return [box.left + x_scale.compute(arguments[0]), box.top + y_scale.compute(-arguments[1])]
"""
# Bokeh draws into shadow roots.
_ALL_TEXT = """
const texts = []
const walk = node => {
  if (node.nodeType === Node.TEXT_NODE) texts.push(node.data)
  if (node.shadowRoot) walk(node.shadowRoot)
  if (!["SCRIPT", "STYLE"].includes(node.nodeName)) node.childNodes.forEach(walk)
}
walk(document.body)
return texts.join(" ")
"""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with chromium() as opened:
        yield opened


def broken(name: str = "mid", n_iterations: int = 60) -> FakeRun:
    layers = (LAYERS[0], replace(LAYERS[1], name=name), LAYERS[2])
    run = FakeRun(n_iterations, replace(HEADER, layers=layers))
    run.put(22, Kind.OUTPUT, name, n_nan=5)
    return run.breaks(22, Kind.OUTPUT, name)


def opened(page: Page, run: FakeRun, tmp_path: Path) -> Page:
    reader = run.reader()
    path = tmp_path / "report.html"
    path.write_text(html.render(diagnose(reader, "run.h5"), reader), encoding="utf-8")
    return page.open(path)


@pytest.mark.parametrize(("width", "is_dark"), [(1280, False), (390, True)])
@pytest.mark.parametrize("run", [broken(), FakeRun(), FakeRun(1)], ids=["faulty", "healthy", "one"])
def test_it_renders_without_a_console_message_or_sideways_scrolling(
    page: Page, tmp_path: Path, run: FakeRun, width: int, is_dark: bool
) -> None:
    page.resize(width, 900, is_dark)
    opened(page, run, tmp_path)
    assert page.messages() == []
    assert page.run("return document.documentElement.scrollWidth") <= width
    assert page.run("return Bokeh.documents[0].roots().length") >= 6


def test_the_faulty_layer_is_lit_and_the_fault_marked(page: Page, tmp_path: Path) -> None:
    page.resize(1280, 900)
    opened(page, broken(), tmp_path)
    lit = page.driver.find_element("css selector", ".layer.fault")
    assert lit.is_displayed()
    assert "mid" in lit.text
    assert "first fault" in lit.text
    mark = 'return Array.from(Bokeh.documents[0].get_model_by_name("mark_spot").data.{})'
    assert page.run(mark.format("x")) == [22]
    assert page.run(mark.format("y")) == [-1]


def test_the_faulty_layer_of_a_deep_model_is_in_sight(page: Page, tmp_path: Path) -> None:
    page.resize(390, 844)
    run = broken()
    # Layers of a model need no order in the list of series: the faulty one comes last.
    early = tuple(replace(LAYERS[0], name=f"early_{i}", path=f"early_{i}") for i in range(30))
    series = tuple(
        one if one.layer is None else replace(one, layer=one.layer + len(early))
        for one in HEADER.series
    )
    run.header = replace(run.header, layers=early + run.header.layers, series=series)
    opened(page, run, tmp_path)
    is_inside = """
    const box = document.querySelector(".model").getBoundingClientRect()
    const lit = document.querySelector(".layer.fault").getBoundingClientRect()
    return box.top <= lit.top && lit.bottom <= box.bottom
    """
    assert page.run(is_inside)


def test_hovering_over_the_heat_map_tells_tensor_iteration_and_counts(
    page: Page, tmp_path: Path
) -> None:
    page.resize(1280, 900)
    opened(page, broken(), tmp_path)
    page.point_at(*page.run(_SPOT, 22, 1))
    page.wait_for(f"const text = (() => {{{_ALL_TEXT}}})(); return text.includes('NaN elements')")
    text = " ".join(page.run(_ALL_TEXT).split())
    assert "tensor: mid" in text
    assert "iterations: 22 " in text
    assert "NaN elements: 5 " in text


def test_choosing_kind_layer_and_row_changes_the_plots(page: Page, tmp_path: Path) -> None:
    page.resize(1280, 900)
    opened(page, broken(), tmp_path)
    labels = 'return Bokeh.documents[0].get_model_by_name("cells").data.labels[0]'
    assert page.run(labels) == ["fc1", "mid", "fc2"]
    page.run(
        "const select = document.getElementById('kind'); select.value = 'weight_gradient';"
        "select.dispatchEvent(new Event('change'))"
    )
    assert page.run(labels) == ["fc1 kernel", "fc1 bias", "fc2 kernel", "fc2 bias"]
    page.driver.find_element("css selector", "[data-layer='2']").click()
    text = "return document.getElementById('series-text').textContent"
    assert page.run(text).startswith('The gradient of weight "kernel" of layer 2 "fc2" (Dense). ')
    assert "Not finite since iteration 22" in page.run(text)
    assert page.messages() == []


def test_a_long_run_has_a_close_up_of_the_fault(page: Page, tmp_path: Path) -> None:
    page.resize(1280, 900)
    opened(page, broken(n_iterations=3000), tmp_path)
    page.driver.find_elements("css selector", "#view input")[1].click()
    width = 'return Bokeh.documents[0].get_model_by_name("cells").data.width[0]'
    assert page.run(width) == 1
    assert "iterations 0 to 37." in page.run(
        "return document.getElementById('map-text').textContent"
    )


def test_a_hostile_name_stays_text_everywhere(page: Page, tmp_path: Path) -> None:
    page.resize(1280, 900)
    opened(page, broken(HOSTILE), tmp_path)
    page.point_at(*page.run(_SPOT, 22, 1))
    page.wait_for(f"const text = (() => {{{_ALL_TEXT}}})(); return text.includes('NaN elements')")
    assert page.run("return window.pwned") is None
    assert page.messages() == []
    assert HOSTILE in page.run("return document.querySelector('.layer.fault .name').textContent")
    assert HOSTILE in page.run(_ALL_TEXT)


def test_a_recorded_histogram_is_drawn_and_says_what_it_leaves_out(
    page: Page, tmp_path: Path
) -> None:
    run = FakeRun()
    series = run.index(Kind.WEIGHT_GRADIENT, "fc2", "kernel")
    writer = create_writer(tmp_path / "run.h5")
    writer.write_header(run.header)
    writer.append(run.block())
    writer.append_histograms([Histogram(59, series, -2, (1, 0), (2, 4), n_zero=9, n_nan=3)])
    writer.close()
    path = tmp_path / "report.html"
    with open_trace(tmp_path / "run.h5") as trace:
        path.write_text(html.render(diagnose(trace.reader), trace.reader), encoding="utf-8")
    page.resize(1280, 900)
    page.open(path)
    page.run(
        "const select = document.getElementById('series'); select.value = arguments[0];"
        "select.dispatchEvent(new Event('change'))",
        str(series),
    )
    title = "Elements, iteration 59 (3 not finite)"
    figure = 'Bokeh.documents[0].get_model_by_name("histogram")'
    bins = 'Bokeh.documents[0].get_model_by_name("bins").data'
    assert page.run(f"return {figure}.title.text") == title
    assert page.run(f"return {figure}.below[0].axis_label") == "log2 |x|; zeros left out: 9"
    drawn = page.run(f"return [{bins}.left, {bins}.right, {bins}.top]")
    assert drawn == [[-3, -2], [-2, -1], [3, 4]]
    assert page.messages() == []
