"""What docs/numpy.md shows runs."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "numpy.md"


def test_the_blocks_of_the_page_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 6
    variables: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), variables)
    assert "DeepLocalize stopped the training." in capsys.readouterr().out
