"""Write the generated parts of the documentation anew: ``make docs``.

Tests compare what is checked in with what the code says, so this is run after every change
to the schema, the rules or the text of a report.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from deeplocalize.analyzer.contract import json_schema
from deeplocalize.analyzer.rules.documentation import rules_markdown
from deeplocalize.recorder.documentation import options_markdown
from deeplocalize.traces.format_page import format_page

ROOT = Path(__file__).parent.parent


def main() -> None:
    (ROOT / "docs" / "format.md").write_text(format_page())
    (ROOT / "docs" / "rules.md").write_text(rules_markdown())
    schema = json.dumps(json_schema(), indent=2)
    (ROOT / "docs" / "diagnosis.schema.json").write_text(schema + "\n")
    update_options()
    update_readme()


def update_options() -> None:
    """List the recorder's options."""
    page = ROOT / "docs" / "recording.md"
    pattern = r"(<!-- options: .*?-->\n).*?(<!-- /options -->)"
    table = options_markdown()
    text = re.sub(pattern, lambda m: f"{m[1]}{table}{m[2]}", page.read_text(), flags=re.DOTALL)
    page.write_text(text)


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
