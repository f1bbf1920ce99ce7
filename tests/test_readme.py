"""The README shows what the demo prints."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def without_numbers(text: str) -> list[str]:
    """Words only: another processor rounds otherwise, and lines then break elsewhere."""
    return re.sub(r"[\d.%]+", "#", text).split()


def test_the_readme_shows_the_output_of_the_demo(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    shown = re.search(r"<!-- demo -->\n```text\n(.*?)```\n<!-- /demo -->", readme, re.DOTALL)
    assert shown
    command = [sys.executable, str(ROOT / "examples" / "demo.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert without_numbers(shown[1]) == without_numbers(done.stdout)
