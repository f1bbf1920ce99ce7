"""What a trace says of its training and of the samples to repeat it with."""

from pathlib import Path

import numpy as np

from deeplocalize.analyzer.whatif.recipe import recipe_of
from deeplocalize.traces.trace import open_trace

from .replays import BATCH, replayable, write
from .runs import FakeRun


def test_samples_that_come_twice_count_once(tmp_path: Path) -> None:
    path = write(tmp_path / "run.h5", FakeRun(header=replayable()), repeats=True)
    with open_trace(path) as trace:
        recipe = recipe_of(trace.reader)
    assert (len(recipe.samples), recipe.batch_size) == (BATCH, BATCH)


def test_a_training_that_goes_on_from_another_is_replayed_from_its_own_first_batch(
    tmp_path: Path,
) -> None:
    recipes = []
    for first in (0, 400):
        path = write(tmp_path / f"from-{first}.h5", FakeRun(header=replayable()), first=first)
        with open_trace(path) as trace:
            recipes.append(recipe_of(trace.reader))
    np.testing.assert_array_equal(recipes[0].samples.x, recipes[1].samples.x)
