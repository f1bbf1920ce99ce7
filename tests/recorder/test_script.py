"""``deeplocalize-record`` runs a script as it is and records its fits."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from deeplocalize.recorder.script import main
from deeplocalize.traces import open_trace

from ..interrupts import run_interrupted

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


RECORD = ("-c", "import sys; from deeplocalize.recorder.__main__ import main; sys.exit(main())")
NOTHING_RECORDED = "deeplocalize-record: no training of a Keras model was recorded\n"


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


def test_a_script_that_is_not_there_is_told_before_a_trace_that_is(folder: Path) -> None:
    (folder / "trace.h5").touch()
    recorded = run(folder, *RECORD, "missing.py")
    assert recorded.returncode == 2
    assert recorded.stderr == "deeplocalize-record: missing.py: no such script\n"


def test_a_script_without_a_fit_is_told_so(folder: Path) -> None:
    (folder / "other.py").write_text("print('done')")
    recorded = run(folder, *RECORD, "other.py")
    assert (recorded.returncode, recorded.stdout) == (0, "done\n")
    assert recorded.stderr == NOTHING_RECORDED


def test_the_options_of_the_recorder_can_be_given(folder: Path) -> None:
    options = ("--every", "3", "--ring-iterations", "0", "--replayable", "--overwrite")
    recorded = run(folder, *RECORD, "-o", "run.h5", *options, "train.py")
    assert recorded.returncode == 3
    with open_trace(folder / "run.h5") as trace:
        assert trace.n_iterations == 8
        assert sorted(trace.statistics(kind="output")["iteration"]) == [0, 3, 6]
        assert trace.header.opening is not None


@pytest.mark.parametrize(
    ("option", "value", "wanted"),
    [
        ("--every", "0", "a number of iterations, 1 or more"),
        ("--budget", "3", "a share of the time, above 0 and up to 1"),
        ("--max-bytes", "much", "a whole number of bytes, 1 or more"),
        ("--max-bytes", "1.5", "a whole number of bytes, 1 or more"),
        ("--max-bytes", "inf", "a whole number of bytes, 1 or more"),
        ("--max-bytes", "0", "a whole number of bytes, 1 or more"),
        ("--ring-bytes", "-1", "a whole number of bytes, 0 or more"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_before_the_script_runs(
    option: str, value: str, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([f"{option}={value}", "train.py"])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert f"argument {option}: wanted {wanted}; found '{value}'" in said


ENDS = {
    "an exception": """
        def inner():
            raise ValueError("broken")
        try:
            inner()
        except ValueError as error:
            raise RuntimeError("more broken") from error
    """,
    "no Python": "print(1\ndef",
    "a message": "import sys; sys.exit('a message')",
    "a number": "import sys; sys.exit(7)",
    "an interrupt": "raise KeyboardInterrupt",
    "a hook": """
        import sys, traceback
        def show(kind, value, trace):
            print(kind, value, traceback.extract_tb(trace), value.__traceback__ is trace)
        sys.excepthook = show
        1 / 0
    """,
    "no end at all": "import os; os._exit(5)",
}


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("target", [["ends.py"], ["-m", "ends"]])
def test_a_script_ends_as_it_does_without_the_recorder(
    how: str, target: list[str], tmp_path: Path
) -> None:
    (tmp_path / "ends.py").write_text(textwrap.dedent(ENDS[how]))
    plain = run(tmp_path, *target)
    recorded = run(tmp_path, *RECORD, *target)
    assert recorded.stderr.replace(NOTHING_RECORDED, "") == plain.stderr
    assert (recorded.returncode, recorded.stdout) == (plain.returncode, plain.stdout)


COMMAND = (
    "import sys; sys.path.insert(0, '.'); import conftest; "
    "from deeplocalize.recorder.__main__ import main; sys.exit(main())"
)


@pytest.mark.parametrize(
    "module", ["deeplocalize.traces.errors", "numpy._core._multiarray_umath", "pandas", "h5py"]
)
def test_an_interrupt_ends_the_command_quietly_until_the_script_begins(
    module: str, folder: Path
) -> None:
    arguments = ("-o", str(folder / "run.h5"), str(folder / "train.py"))
    assert run_interrupted(COMMAND, module, *arguments) == (130, "", "")
    assert not (folder / "run.h5").exists()


def test_an_interrupt_that_is_ignored_goes_on_being_ignored(tmp_path: Path) -> None:
    (tmp_path / "done.py").write_text("print('done')")
    arguments = (COMMAND, "pandas", str(tmp_path / "done.py"))
    code, output, _ = run_interrupted(*arguments, handler="SIG_IGN")
    assert (code, output) == (0, "done\n")


def test_an_interrupt_while_the_script_imports_is_the_scripts(tmp_path: Path) -> None:
    (tmp_path / "imports.py").write_text("import colorsys")
    arguments = ("-o", str(tmp_path / "run.h5"), str(tmp_path / "imports.py"))
    code, _, errors = run_interrupted(COMMAND, "colorsys", *arguments)
    assert code == -signal.SIGINT
    traceback = errors.removesuffix(NOTHING_RECORDED)
    assert traceback.endswith("KeyboardInterrupt\n")
    assert "imports.py" in traceback and "deeplocalize" not in traceback


LOOKS_AROUND = """
    import atexit, os, pickle, sys
    class Thing:
        pass
    print(__name__, __file__, __doc__, __package__, __builtins__, __loader__.path, sys.argv)
    print(__spec__ and __spec__.name, sys.path[0], sys.modules["__main__"].Thing is Thing)
    print(type(pickle.loads(pickle.dumps(Thing()))) is Thing)
    os.chdir("/")
    atexit.register(lambda: print(sys.modules["__main__"].Thing, pickle.dumps(Thing())))
"""


@pytest.mark.parametrize(
    "target", [["inner/looks.py"], ["link.py"], ["-m", "inner.looks"], ["inner"]]
)
def test_a_script_finds_itself_as_it_does_without_the_recorder(
    target: list[str], tmp_path: Path
) -> None:
    (tmp_path / "inner").mkdir()
    for name in ("looks.py", "__main__.py"):
        (tmp_path / "inner" / name).write_text('"""Words."""\n' + textwrap.dedent(LOOKS_AROUND))
    (tmp_path / "link.py").symlink_to("inner/looks.py")
    plain = run(tmp_path, *target, "--epochs", "7")
    recorded = run(tmp_path, *RECORD, *target, "--epochs", "7")
    assert recorded.stdout == plain.stdout
    assert plain.stdout.count("\n") == 4, plain.stderr
    assert recorded.returncode == 0


TURNS = """
    import gc, weakref
    import numpy as np
    import keras

    def model():
        made = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        made.compile("sgd", "mse")
        return made

    def step(*models):
        for one in models:
            one.train_on_batch(np.ones((8, 4)), np.zeros((8, 2)))

    one, two, three = model(), model(), model()
    for _ in range(3):
        step(one, two)
    step(three)
    references = [weakref.ref(one), weakref.ref(two)]
    del one, two
    gc.collect()
    print([reference() for reference in references])
    step(three)
    three.fit(np.ones((8, 4)), np.zeros((8, 5)), verbose=0)
"""


def test_a_model_that_trains_by_batches_is_let_go_with_its_trace(tmp_path: Path) -> None:
    (tmp_path / "turns.py").write_text(textwrap.dedent(TURNS))
    recorded = run(tmp_path, *RECORD, "turns.py")
    assert recorded.stdout == "[None, None]\n", recorded.stderr
    assert "ValueError" in recorded.stderr
    assert "deeplocalize/recorder" not in recorded.stderr
    for name, n_steps, status in (
        ("trace.h5", 3, "completed"),
        ("trace-2.h5", 3, "completed"),
        ("trace-3.h5", 2, "exception"),
    ):
        with open_trace(tmp_path / name) as trace:
            assert trace.n_iterations == n_steps
            assert trace.ended == {"status": status}
