"""The example notebook, executed as a reader would."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "examples" / "post_mortem.ipynb"
TIMEOUT_S = 300


@pytest.fixture
def notebook() -> nbformat.NotebookNode:
    read: nbformat.NotebookNode = nbformat.read(  # type: ignore[no-untyped-call]  # as its author
        NOTEBOOK, as_version=4
    )
    return read


def test_the_post_mortem_tells_its_story(tmp_path: Path, notebook: nbformat.NotebookNode) -> None:
    folder = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=TIMEOUT_S, kernel_name="python3", resources=folder).execute()
    told = "".join(
        output.get("text", "") + output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    )
    for part in (
        '<Diagnosis: faulty. Layer 0 "logarithm" (Logarithm) receives finite inputs',
        "mean concavity",
        "values before the logarithm: [0.]",
        "<Diagnosis: healthy.",
    ):
        assert part in told
    drawn = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "application/vnd.bokehjs_exec.v0+json" in output.get("data", {})
    ]
    assert len(drawn) == 3


def test_it_is_stored_without_outputs(notebook: nbformat.NotebookNode) -> None:
    assert not any(cell.get("outputs") for cell in notebook.cells)
