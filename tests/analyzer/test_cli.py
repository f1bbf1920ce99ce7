import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deeplocalize.analyzer import cli
from deeplocalize.traces.files import create_writer

from ..interrupts import run_interrupted
from .runs import FakeRun
from .test_localization import SCENARIOS

ROOT = Path(__file__).parents[2]
COMMAND = (
    "import sys; sys.path.insert(0, '.'); import conftest; "
    "from deeplocalize.analyzer.__main__ import main; sys.exit(main())"
)


def trace(path: Path, run: FakeRun) -> str:
    run.write(create_writer(path))
    return str(path)


@pytest.fixture
def healthy(tmp_path: Path) -> str:
    return trace(tmp_path / "healthy.h5", FakeRun())


@pytest.fixture
def faulty(tmp_path: Path) -> str:
    return trace(tmp_path / "faulty.parquet", SCENARIOS["the logarithm of zero"].make())


def test_a_healthy_run_exits_with_0(healthy: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([healthy]) == 0
    output = capsys.readouterr()
    assert output.out.startswith("The run looks healthy")
    assert output.err == ""


def test_a_located_fault_exits_with_1(faulty: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([faulty]) == 1
    assert capsys.readouterr().out.startswith('Layer 1 "mid" (Lambda)')


def test_a_run_too_short_for_a_verdict_exits_with_0(tmp_path: Path) -> None:
    assert cli.main([trace(tmp_path / "short.h5", FakeRun(19))]) == 0


def test_json_goes_to_standard_output_or_a_file(
    faulty: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "diagnosis.json"
    assert cli.main([faulty, "--format", "json", "-o", "-"]) == 1
    printed = capsys.readouterr().out
    assert cli.main([faulty, "--format", "json", "--output", str(target)]) == 1
    assert capsys.readouterr().out == ""
    assert json.loads(target.read_text()) == json.loads(printed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["diagnosis.json", "faulty.parquet"]


@pytest.mark.parametrize(
    ("name", "begin"),
    [("r.html", "<!"), ("r.JSON", "{"), ("r.md", "### "), ("r.txt", "Layer"), ("r", "Layer")],
)
def test_the_suffix_of_the_output_says_the_format(
    name: str, begin: str, faulty: str, tmp_path: Path
) -> None:
    target = tmp_path / name
    assert cli.main([faulty, "-o", str(target)]) == 1
    assert target.read_text(encoding="utf-8").startswith(begin)
    assert cli.main([faulty, "--format", "json", "-o", str(target)]) == 1
    assert json.loads(target.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("option", "name", "wanted"),
    [
        ("-o", "r.pdf", ".html, .htm, .json, .md, .txt, .log, or choose with --format"),
        ("-o", "r.PDF", "no report is written as .PDF"),
        ("--report", "r.pdf", "--report writes HTML; end the name in .html"),
        ("--report", "r.json", "take --output for another format"),
    ],
)
def test_a_suffix_that_promises_another_format_is_refused(
    option: str,
    name: str,
    wanted: str,
    faulty: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main([faulty, option, str(tmp_path / name)]) == 2
    output = capsys.readouterr()
    assert (output.out, output.err.count("\n")) == ("", 1)
    assert wanted in output.err
    assert [path.name for path in tmp_path.iterdir()] == ["faulty.parquet"]


def test_a_format_that_is_asked_for_is_written_under_any_name(faulty: str, tmp_path: Path) -> None:
    target = tmp_path / "r.pdf"
    assert cli.main([faulty, "--format", "text", "-o", str(target)]) == 1
    assert target.read_text(encoding="utf-8").startswith("Layer")


@pytest.mark.parametrize("option", ["-o", "--report"])
def test_a_report_is_not_written_over_its_trace(
    option: str, healthy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path(healthy).read_bytes()
    assert cli.main([healthy, option, healthy]) == 2
    assert "is the trace itself" in capsys.readouterr().err
    assert Path(healthy).read_bytes() == before


def test_a_report_is_as_readable_as_any_new_file(tmp_path: Path) -> None:
    cli.write_whole(tmp_path / "a", "text")
    (tmp_path / "b").write_text("text")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_report_that_cannot_be_written_leaves_nothing_behind(
    healthy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([healthy, "-o", str(tmp_path / "no" / "report.txt")]) == 2
    assert "report.txt: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"", b"not a trace at all"])
def test_what_is_no_trace_exits_with_2_and_one_line(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.h5"
    if content is not None:
        path.write_bytes(content)
    assert cli.main([str(path)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("deeplocalize-analyze: ")
    assert output.err.count("\n") == 1


@pytest.mark.parametrize("options", [[], ["--follow"]])
def test_an_empty_path_is_not_taken_for_the_directory_that_one_is_in(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["", *options]) == 2
    said = "deeplocalize-analyze: an empty path; give that of a trace, such as run.h5\n"
    assert capsys.readouterr().err == said


def test_help_and_version_explain_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--help", "--version"):
        with pytest.raises(SystemExit) as stop:
            cli.main([option])
        assert stop.value.code == 0
    output = capsys.readouterr().out
    assert "exit codes" in output
    assert "deeplocalize-analyze 0." in output


def test_a_reader_that_leaves_early_is_no_error(faulty: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, faulty],
        cwd=ROOT,
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    os.close(writing)
    assert done.stderr == b""
    assert done.returncode == 1


@pytest.mark.parametrize(
    "module", ["deeplocalize.traces.errors", "numpy._core._multiarray_umath", "pandas", "rich"]
)
def test_an_interrupt_ends_the_command_quietly_while_it_loads(module: str, healthy: str) -> None:
    assert run_interrupted(COMMAND, module, healthy) == (130, "", "")


def test_an_interrupt_that_is_ignored_goes_on_being_ignored(healthy: str) -> None:
    code, report, _ = run_interrupted(COMMAND, "pandas", healthy, handler="SIG_IGN")
    assert code == 0
    assert report.startswith("The run looks healthy")


def test_an_interrupt_ends_the_analysis_quietly(healthy: str) -> None:
    interrupted = (
        "import deeplocalize.analyzer.cli as cli\n"
        "def analyze(*_): raise KeyboardInterrupt\n"
        "cli.analyze = analyze\n"
    )
    setup, command = COMMAND.split("from deeplocalize", 1)
    done = subprocess.run(
        [sys.executable, "-c", f"{setup}\n{interrupted}from deeplocalize{command}", healthy],
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_a_time_for_verifying_is_refused_where_nothing_is_verified(
    healthy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([healthy, "--verify-seconds", "60"])
    assert stop.value.code == 2
    assert "--verify-seconds is for --verify, which is not given" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_time_that_is_none_is_refused(
    seconds: str, faulty: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main([faulty, "--verify", "--verify-seconds", seconds])
    assert stopped.value.code == 2
    assert "wanted a number of seconds" in capsys.readouterr().err
