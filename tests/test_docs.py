"""The documentation: its code runs, its messages and tables are those of the code."""

import ast
import re
import runpy
import tomllib
from pathlib import Path

import pytest

from deeplocalize.recorder.documentation import options_markdown
from deeplocalize.traces import TraceError

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
FOLDERS = ("analyzer", "recorder", "traces")


def python_of(page: str) -> str:
    """Every Python block of a page, as one program."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))


def run(program: str) -> None:
    exec(compile(program, "docs", "exec"), {"__name__": "docs"})


def test_the_tutorial_and_the_notebook_guide_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown: list[object] = []
    monkeypatch.setattr("bokeh.io.show", shown.append)
    run(python_of("tutorial.md") + "\n" + python_of("notebook.md"))
    assert len(shown) == 1


def test_the_page_about_recording_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run(python_of("recording.md"))


def test_the_page_about_trying_fixes_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run(python_of("what_if.md"))


def test_the_options_are_those_of_the_recorder() -> None:
    page = (DOCS / "recording.md").read_text(encoding="utf-8")
    assert options_markdown() in page, "run: make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_page_about_coverage_is_that_of_its_data() -> None:
    page = runpy.run_path(str(DOCS / "generate.py"))["coverage_page"]()
    assert (DOCS / "coverage.md").read_text(encoding="utf-8") == page, "run: make docs"


def proofs() -> list[tuple[str, str]]:
    """Row and test of the table of coverage."""
    tables = tomllib.loads((DOCS / "coverage.toml").read_text(encoding="utf-8"))
    rows = [row for table in tables.values() for row in table]
    return [(row["name"], t) for row in rows for t in (*row["identical"], *row["values"])]


@pytest.mark.parametrize("row_and_test", proofs(), ids=lambda pair: ": ".join(pair))
def test_every_test_that_the_page_about_coverage_names_exists(
    row_and_test: tuple[str, str],
) -> None:
    file, _, name = row_and_test[1].partition("::")
    name, _, parameters = name.removesuffix("]").partition("[")
    source = (ROOT / "tests" / "recorder" / file).read_text(encoding="utf-8")
    functions = [n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef)]
    assert name in {function.name for function in functions}
    words = source + (ROOT / "tests" / "recorder" / "models.py").read_text(encoding="utf-8")
    for parameter in filter(None, parameters.split("-")):
        assert f'"{parameter}"' in words


def test_every_row_of_the_page_about_coverage_has_tests_of_both_kinds() -> None:
    tables = tomllib.loads((DOCS / "coverage.toml").read_text(encoding="utf-8"))
    for row in (row for table in tables.values() for row in table):
        assert row["identical"] and row["values"], row["name"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    named = set(
        re.findall(r"`(?:tests/[\w/]*/)?(test_\w+)(?:\.py)?`", page.read_text(encoding="utf-8"))
    )
    known: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        known |= {path.stem, *re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)}
    assert named <= known


def texts() -> set[str]:
    """Every text in the code, with … for what is filled in."""
    found = set()
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
                elif isinstance(node, ast.JoinedStr):
                    parts = (p.value if isinstance(p, ast.Constant) else "…" for p in node.values)
                    found.add("".join(map(str, parts)))
    return found


def messages() -> list[str]:
    page = (DOCS / "messages.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `([^`]+)`", page, re.MULTILINE)


@pytest.mark.parametrize("message", messages())
def test_every_message_of_the_page_is_one_of_the_code(message: str) -> None:
    known = texts()
    # A message may be put together from several texts.
    pieces = [piece for piece in re.split(r"…", message) if len(piece.strip()) > 3]
    for piece in pieces:
        assert any(piece.strip() in text for text in known), piece


def test_every_kind_of_trace_error_is_on_the_page() -> None:
    page = (DOCS / "messages.md").read_text(encoding="utf-8")
    for error in TraceError.__subclasses__():
        assert error.__name__ in page


def test_pictures_are_no_larger_than_a_page_should_be() -> None:
    for picture in (DOCS / "images").iterdir():
        assert picture.stat().st_size < 400_000, picture
