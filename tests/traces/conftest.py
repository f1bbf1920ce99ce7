"""The formats over which the conformance suite runs."""

from pathlib import Path

import pytest

from .build import SUFFIXES


@pytest.fixture(params=SUFFIXES)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where a trace may be written; one test run per format."""
    return tmp_path / f"run{request.param}"
