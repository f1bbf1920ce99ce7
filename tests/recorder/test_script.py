"""``deeplocalize-record`` runs a script as it is and records its fits."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from deeplocalize.traces import open_trace

SCRIPT = """
    import os, sys
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import numpy as np
    import keras
    import sibling

    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="only")])
    model.compile("sgd", "mse")
    x, y = np.ones((64, 4)), np.zeros((64, 2))
    history = keras.callbacks.History()
    model.fit(x, y, 16, 2, 0, [history])
    model.fit(x, y, verbose=0)
    print(sys.argv[1:], __name__, len(history.history["loss"]), model.get_weights()[0].sum())
    if "--fail" in sys.argv:
        raise ValueError("broken")
    sys.exit(3)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(textwrap.dedent(SCRIPT))
    (tmp_path / "sibling.py").write_text("")
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


RECORD = ("-c", "import sys; from deeplocalize.recorder.script import main; sys.exit(main())")


def test_a_script_runs_as_without_the_recorder_and_each_fit_gives_a_trace(folder: Path) -> None:
    plain = run(folder, "train.py", "--epochs", "7")
    recorded = run(folder, *RECORD, "-o", "run.h5", "train.py", "--epochs", "7")
    assert recorded.stdout == plain.stdout
    assert recorded.stdout.startswith("['--epochs', '7'] __main__ 2")
    assert recorded.returncode == plain.returncode == 3
    with open_trace(folder / "run.h5") as first, open_trace(folder / "run-2.h5") as second:
        assert first.n_iterations == 8
        assert second.n_iterations == 2


def test_a_module_can_be_recorded_too(folder: Path) -> None:
    recorded = run(folder, *RECORD, "-o", "run.parquet", "-m", "train")
    assert recorded.returncode == 3, recorded.stderr
    with open_trace(folder / "run.parquet") as trace:
        assert trace.n_iterations == 8


def test_the_scripts_exception_passes_through(folder: Path) -> None:
    recorded = run(folder, *RECORD, "train.py", "--fail")
    assert recorded.returncode == 1
    assert recorded.stderr.rstrip().endswith("ValueError: broken")
    with open_trace(folder / "trace.h5") as trace:
        assert trace.ended == {"status": "completed"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.py"], "missing.py: no such script"),
        (["-o", "run.txt", "train.py"], "cannot tell the format"),
        (["-o", "nowhere/run.h5", "train.py"], "nowhere"),
        ([], "which script?"),
    ],
)
def test_a_wrong_call_gets_one_line_and_exit_status_2(
    arguments: list[str], message: str, folder: Path
) -> None:
    recorded = run(folder, *RECORD, *arguments)
    assert recorded.returncode == 2
    assert message in recorded.stderr
    assert "Traceback" not in recorded.stderr


def test_an_existing_trace_is_refused_before_the_script_runs(folder: Path) -> None:
    run(folder, *RECORD, "train.py")
    again = run(folder, *RECORD, "train.py")
    assert again.returncode == 2
    assert "exists" in again.stderr
    assert again.stdout == ""


def test_a_script_without_a_fit_is_told_so(folder: Path) -> None:
    (folder / "other.py").write_text("print('done')")
    recorded = run(folder, *RECORD, "other.py")
    assert (recorded.returncode, recorded.stdout) == (0, "done\n")
    assert "no training of a Keras model was recorded" in recorded.stderr


def test_the_options_of_the_recorder_can_be_given(folder: Path) -> None:
    options = ("--every", "3", "--ring-bytes", "0", "--replayable", "--overwrite")
    recorded = run(folder, *RECORD, "-o", "run.h5", *options, "train.py")
    assert recorded.returncode == 3
    with open_trace(folder / "run.h5") as trace:
        assert trace.n_iterations == 8
        assert sorted(trace.statistics(kind="output")["iteration"]) == [0, 3, 6]
        assert trace.header.opening is not None


@pytest.mark.parametrize(
    ("option", "value"), [("--every", "0"), ("--budget", "3"), ("--max-bytes", "much")]
)
def test_an_option_that_makes_no_sense_is_refused_before_the_script_runs(
    folder: Path, option: str, value: str
) -> None:
    refused = run(folder, *RECORD, option, value, "train.py")
    assert refused.returncode == 2
    assert f"argument {option}: invalid" in refused.stderr
    assert refused.stdout == ""
