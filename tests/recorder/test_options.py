"""An option that is none is refused when the recorder is made, not in the midst of a training."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeplocalize.recorder import DeepLocalize, LoopRecorder, Recorder
from deeplocalize.recorder.numpynet_callback import Recorder as NumpyRecorder
from deeplocalize.recorder.options import Options
from deeplocalize.recorder.schedule import every, first, is_due

from .fits import build, fit


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("schedule", 10),
        ("overwrite", "yes"),
        ("tensors", 5),
        ("tensors", lambda iteration, loss: True),
        ("exact", lambda: True),
        ("trigger", 3),
        ("trigger", lambda iteration: True),
        ("exact", "yes"),
        ("ring_bytes", "much"),
        ("budget", "x"),
        ("budget", True),
        ("ring_iterations", 2.5),
        ("ring_iterations", True),
        ("replayable", "x"),
        ("path", 5),
        ("continues", 5),
    ],
)
def test_an_option_of_the_wrong_type_is_named(tmp_path: Path, option: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^{option}="):
        Recorder(**{"path": tmp_path / "run.h5", option: value})


@pytest.mark.parametrize("option", ["exact", "histograms"])
def test_a_switch_that_is_also_a_schedule_says_so(tmp_path: Path, option: str) -> None:
    with pytest.raises(TypeError, match=f"^{option}=5: wanted True, False or a function"):
        Recorder(tmp_path / "run.h5", **{option: 5})  # type: ignore[arg-type]


def test_a_negative_budget_is_told_the_range_of_a_budget(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^budget=-1: wanted a share"):
        Recorder(tmp_path / "run.h5", budget=-1)


def test_a_pattern_without_a_schedule_is_named(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"^schedule\['Dense'\]=3"):
        Recorder(tmp_path / "run.h5", schedule={"bias": every(2), "Dense": 3})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("ring_bytes", -1),
        ("ring_iterations", -1),
        ("max_bytes", 0),
        ("max_bytes", -5),
        ("max_bytes", 1.5),
        ("ring_bytes", 2.5),
        ("ring_bytes", float("inf")),
        ("budget", 5),
        ("budget", 0),
        ("replayable", -1),
    ],
)
def test_a_number_out_of_its_range_is_named(tmp_path: Path, option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{option}="):
        Recorder(tmp_path / "run.h5", **{option: value})


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    numbers: dict[str, Any]
    numbers = {"ring_iterations": np.int64(3), "replayable": np.int32(5), "budget": np.float32(0.1)}
    numbers |= {"ring_bytes": 2e9, "max_bytes": np.float64(1e9)}
    Recorder(tmp_path / "run.h5", **numbers)
    del numbers["replayable"]
    assert json.loads(json.dumps(Options(**numbers).described()))["ring_iterations"] == 3


def test_functions_that_take_what_they_are_given_are_accepted(tmp_path: Path) -> None:
    for schedule in (lambda i, n=3: i < n, lambda *given: True, {0, 1}.__contains__, bool):
        Recorder(tmp_path / "run.h5", schedule=schedule, trigger=lambda *given: False)


def test_a_schedule_for_what_is_no_pattern_is_named(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"^schedule\[3\]: wanted a pattern"):
        Recorder(tmp_path / "run.h5", schedule={3: every(np.int64(2))})  # type: ignore[dict-item]


@pytest.mark.parametrize("n", [0, -1, 2.5, "a", True])
def test_a_schedule_of_no_number_of_iterations_is_refused(n: Any) -> None:
    with pytest.raises(ValueError, match="wanted a number of iterations"):
        every(n)


def test_a_misspelt_option_is_told_as_one_of_the_class_that_was_called(tmp_path: Path) -> None:
    for recorder in (Recorder, NumpyRecorder):
        with pytest.raises(TypeError, match=r"^Recorder\.__init__\(\) .*'ring_iteration'"):
            recorder(tmp_path / "run.h5", ring_iteration=3)  # type: ignore[call-arg]


@pytest.mark.parametrize("recorder", [Recorder, NumpyRecorder, LoopRecorder, DeepLocalize])
def test_every_recorder_refuses_to_overwrite_for_what_is_no_truth_value(
    recorder: Any, tmp_path: Path
) -> None:
    with pytest.raises(TypeError, match=r"^overwrite='no': wanted True or False"):
        recorder(path=tmp_path / "run.h5", overwrite="no")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("yes", [True, np.True_, 1, np.isin(3, [3]), np.int8(2)])
@pytest.mark.parametrize("no", [False, None, [False], np.False_, 0, np.isin(3, [4]), np.int8(0)])
def test_a_schedule_may_say_yes_or_no_in_any_way_that_is_a_truth_value(yes: Any, no: Any) -> None:
    assert is_due(lambda iteration: yes, 3) is True
    assert is_due(lambda iteration: no, 3) is False


@pytest.mark.parametrize("said", [every(3), "yes", [], [True, False]])
def test_a_schedule_that_gives_anything_else_is_named(said: Any) -> None:
    def often(iteration: int) -> Any:
        return said

    with pytest.raises(TypeError, match=r"^often\(3\) gives .*: wanted True or False$"):
        is_due(often, 3)


@pytest.mark.parametrize("option", ["schedule", "tensors", "histograms", "trigger", "pattern"])
def test_a_function_that_gives_no_truth_value_ends_the_recording_with_a_warning(
    option: str, tmp_path: Path
) -> None:
    options: dict[str, Any] = {option: lambda *given: "yes"}
    if option == "pattern":
        options = {"schedule": {"Dense": first}}
    with pytest.warns(RuntimeWarning, match="stopped recording .*: wanted True or False"):
        fit(build(), Recorder(tmp_path / "run.h5", **options))


def test_a_schedule_whose_number_was_forgotten_is_shown_how_it_is_written(tmp_path: Path) -> None:
    options: Any = {"tensors": every}
    with pytest.warns(RuntimeWarning, match=r"stopped recording .* as in every\(10\)"):
        fit(build(), Recorder(tmp_path / "run.h5", **options))
