"""Take the pictures of the documentation anew: ``python -m docs.pictures``.

Runs the tutorial's program and shows its reports in a headless Chromium.
"""

import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.text import Text

from deeplocalize.analyzer import analyze
from deeplocalize.analyzer.reports import REPORTS, Style
from deeplocalize.traces import Trace, open_trace
from tests.analyzer.browser import Page, chromium

DOCS = Path(__file__).parent
IMAGES = DOCS / "images"
WIDTH = 1180


def main() -> None:
    """Record the tutorial's run and take every picture of it."""
    IMAGES.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder:
        _record(Path(folder))
        with open_trace(Path(folder) / "run.h5") as trace:
            _draw_terminal(trace)
            report = Path(folder) / "report.html"
            report.write_text(_report(trace, "html"), encoding="utf-8")
        with chromium() as page:
            page.resize(WIDTH, 900)
            _photograph(page.open(report))
            page.resize(390, 844)
            page.open(report).picture(IMAGES / "report-phone.png")
            page.resize(WIDTH, 900, is_dark=True)
            page.open(report)
            _element(page, "section:has(#map)", "heatmap-dark.png")


def _record(folder: Path) -> None:
    """Run the first program of the tutorial."""
    text = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    program = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)[0]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program], cwd=folder, env=environment, check=True)


def _report(trace: Trace, form: str, style: Style | None = None) -> str:
    diagnosis = analyze(trace)
    # The trace lies in a temporary folder that means nothing to a reader.
    text = REPORTS[form](diagnosis, trace.reader, style or Style())
    return text.replace(str(trace.path), trace.path.name)


def _draw_terminal(trace: Trace) -> None:
    console = Console(record=True, width=82, file=StringIO())
    console.print(Text("$ deeplocalize-analyze run.h5\n", style="dim"))
    console.print(Text.from_ansi(_report(trace, "text", Style(colour=True))))
    picture = console.export_svg(title="deeplocalize-analyze")
    # A picture asks no font server: any fixed-width font will do.
    picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    (IMAGES / "terminal.svg").write_text(picture, encoding="utf-8")


def _photograph(page: Page) -> None:
    page.picture(IMAGES / "report.png")
    _element(page, "section:has(#map)", "heatmap.png")
    _element(page, "section:has(#samples)", "samples.png")


def _element(page: Page, selector: str, name: str) -> None:
    page.driver.find_element("css selector", selector).screenshot(str(IMAGES / name))


if __name__ == "__main__":
    main()
