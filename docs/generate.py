"""Write the generated parts of the documentation anew: ``make docs``.

Tests compare what is checked in with what the code says, so this is run after every change
to the schema, the rules or the text of a report.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from deeplocalize.analyzer.rules.documentation import rules_markdown
from deeplocalize.traces.format_page import format_page

ROOT = Path(__file__).parent.parent


def main() -> None:
    (ROOT / "docs" / "format.md").write_text(format_page())
    (ROOT / "docs" / "rules.md").write_text(rules_markdown())
    update_readme()


def update_readme() -> None:
    """Show what the demo prints on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(ROOT / "examples" / "demo.py"), folder]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    readme = ROOT / "README.md"
    shown = f"<!-- demo -->\n```text\n{done.stdout}```\n<!-- /demo -->"
    pattern = r"<!-- demo -->.*?<!-- /demo -->"
    readme.write_text(re.sub(pattern, lambda _: shown, readme.read_text(), flags=re.DOTALL))


if __name__ == "__main__":
    main()
