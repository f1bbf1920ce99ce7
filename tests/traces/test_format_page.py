"""The page about the format is the schema's."""

from pathlib import Path

from deeplocalize.traces.format_page import format_page
from deeplocalize.traces.schema import FORMAT_VERSION, HISTORY, KINDS, TABLES, Kind

PAGE = Path(__file__).parents[2] / "docs" / "format.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == format_page(), (
        "run: python -m deeplocalize.traces.format_page > docs/format.md"
    )


def test_the_page_names_every_column_and_kind() -> None:
    page = format_page()
    for columns in TABLES.values():
        assert all(f"| `{column.name}` |" in page for column in columns)
    assert all(f"| `{kind}` |" in page for kind in Kind)


def test_every_version_has_a_line_of_history() -> None:
    assert [version for version, _ in HISTORY] == list(range(1, FORMAT_VERSION + 1))


def test_every_kind_has_a_phase() -> None:
    assert set(KINDS) == set(Kind)
    assert all(kind.phase is KINDS[kind].phase for kind in Kind)
