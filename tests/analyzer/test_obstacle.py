"""What stands in the way of a replay is said, and nothing is replayed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeplocalize.analyzer import analyze, verify
from deeplocalize.analyzer.whatif import protocol
from deeplocalize.analyzer.whatif.answers import yardstick_of
from deeplocalize.analyzer.whatif.obstacle import ObstacleError
from deeplocalize.analyzer.whatif.preparation import task_of
from deeplocalize.analyzer.whatif.recipe import Samples, Setup
from deeplocalize.traces.files import create_writer
from deeplocalize.traces.header import Opening
from deeplocalize.traces.interface import Tensor
from deeplocalize.traces.schema import Kind

from .replays import CONFIG, replayable, write
from .runs import FakeRun
from .test_safety import layer


def obstacle_of(path: Path) -> str:
    found = verify(path, analyze(path)).verification
    assert found is not None and found.baseline is None
    return found.obstacle


OBSTACLES: dict[str, tuple[dict[str, Any], str]] = {
    "not asked for": ({"opening": None}, "replayable=True"),
    "the recorder's": ({"opening": Opening(9, 9, "it dreams")}, "cannot be repeated: it dreams"),
    "a model of its own": ({"model_class": "Mine"}, "Mine is a model class of its own"),
    "no configuration": ({"model_config": None}, "no configuration"),
    "several losses": ({"loss": ("mse", "mae")}, "no loss, or several"),
    "a lambda": ({"model_config": {"layers": [layer("Lambda")]}}, "is a Lambda"),
    "no layers at all": ({"model_config": {"layers": 7}}, "no list of layers"),
}


@pytest.mark.parametrize("name", OBSTACLES)
def test_what_stands_in_the_way_is_said_without_keras(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes, expected = OBSTACLES[name]
    monkeypatch.setattr(protocol, "_trainer", lambda: pytest.fail("Keras is not wanted"))
    run = FakeRun(header=replace(replayable(), **changes))
    assert expected in obstacle_of(write(tmp_path / "run.h5", run))


def test_a_trace_without_a_batch_in_full_cannot_be_replayed(tmp_path: Path) -> None:
    path = write(tmp_path / "run.h5", FakeRun(header=replayable()), n_batches=0)
    assert "no batch in full" in obstacle_of(path)


@pytest.mark.parametrize(("x", "y"), [((0, 4), (0, 3)), ((5, 4), (6, 3)), ((), (1, 3))])
def test_batches_that_are_none_are_an_obstacle(
    x: tuple[int, ...], y: tuple[int, ...], tmp_path: Path
) -> None:
    run = FakeRun(header=replayable())
    writer = create_writer(tmp_path / "run.h5")
    writer.write_header(run.header)
    writer.append(run.block())
    kinds = ((Kind.INPUT, x), (Kind.LABEL, y))
    writer.append_tensors([Tensor(0, run.index(k), np.zeros(shape)) for k, shape in kinds])
    writer.close()
    assert "do not fit together" in obstacle_of(tmp_path / "run.h5")


def test_classes_are_numbered_only_where_labels_are_classes() -> None:
    samples = Samples(np.ones((4, 2)), np.arange(4) + 0.5, None)
    setup = Setup("Sequential", CONFIG, "mse", {}, 1, indexes_classes=True)
    with pytest.raises(ObstacleError, match="not classes"):
        task_of(setup, samples, yardstick_of(samples.y, ["mse"]), seed=0)
