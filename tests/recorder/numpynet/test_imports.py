"""The network needs NumPy and nothing heavier."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_importing_the_network_imports_no_other_framework() -> None:
    program = (
        "import conftest, sys, deeplocalize.recorder.numpynet.description\n"
        "print({'tensorflow', 'keras', 'jax', 'torch', 'numba'} & sys.modules.keys())"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "set()"


def test_only_the_translation_names_keras() -> None:
    package = ROOT / "recorder" / "numpynet"
    importing = {p.name for p in package.rglob("*.py") if "import keras" in p.read_text()}
    assert importing == {"from_keras.py", "keras_layers.py", "keras_training.py"}
