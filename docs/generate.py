"""Write the generated parts of the documentation anew: ``make docs``.

Tests compare what is checked in with what the code says, so this is run after every change
to the schema, the rules or the text of a report.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

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
    (ROOT / "docs" / "coverage.md").write_text(coverage_page())
    update_options()
    update_readme()


_COVERAGE = """# What is recorded of which model and training

<!-- Written by `make docs` from coverage.toml. Edit that. -->

Keras on TensorFlow; [backends.md](backends.md) is about the others. *All kinds* are a layer's
output and preactivation, the gradients by them, its weights, their gradients and updates, and its
state. Whatever is left out is listed in the trace itself (`header.unrecorded`) and by the analyzer.

In every row the final weights, the optimizer's state and the history are bit for bit those of the
training without a recorder: that is what the first tests named in a row check. The last ones
compare what is recorded with a separate computation. All are in `tests/recorder/`.

"""


def coverage_page() -> str:
    """What is recorded of every kind of layer and of training, and the tests that prove it."""
    rows = tomllib.loads((ROOT / "docs" / "coverage.toml").read_text())
    parts = [f"## {title.capitalize()}\n\n{_table(of)}" for title, of in rows.items()]
    return _COVERAGE + "\n".join(parts)


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| | recorded | left out | `exact=True` adds | bit-identical | values |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        tests = [
            "<br>".join(f"`{test}`" for test in row[column]) for column in ("identical", "values")
        ]
        cells = [row["name"], row["recorded"], row["left_out"], row["exact"], *tests]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


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
