"""Trainings of the tests of steps that wait within TensorFlow, and traces that are compared."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pandas as pd
import pytest

from deeplocalize.recorder import Recorder
from deeplocalize.traces import Trace, open_trace

from ..models import CASES, LABELS, VECTORS, Case
from ..test_bit_identity import MODES, outcome

tensorflow = pytest.importorskip("deeplocalize.recorder.backends.tensorflow")

HUGE = 1e200
"""Its square is no float64."""

Takes = list[int]
"""How many steps waited each time that they were taken."""


def fitted(path: Path, x: Any = VECTORS, **options: Any) -> Any:
    case = CASES["mlp"]
    keras.utils.set_random_seed(7)
    model = case.build()
    model.compile("adam", case.loss(), jit_compile=False)
    recorder = Recorder(path, **options)
    model.fit(
        x, LABELS[: len(x)], batch_size=10, epochs=3, shuffle=False, verbose=0, callbacks=[recorder]
    )
    return model


def trained(case: Case, mode: str, path: Path, **options: Any) -> Any:
    keras.utils.clear_session()  # names of layers begin anew
    return outcome(case, MODES[mode], [Recorder(path, **options)])


def one_by_one(train: Callable[[], Any]) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensorflow, "_queue_of", lambda model, session: None)
        return train()


def assert_equal(ours: Path, theirs: Path) -> None:
    with open_trace(ours) as found, open_trace(theirs) as expected:
        assert found.header.series == expected.header.series
        assert found.header.unrecorded == expected.header.unrecorded
        assert found.header.data == expected.header.data
        assert found.ended == expected.ended
        assert found.n_iterations > 0
        drop = functools.partial(pd.DataFrame.drop, columns="time_s")
        pd.testing.assert_frame_equal(drop(found.iterations), drop(expected.iterations))
        pd.testing.assert_frame_equal(found.statistics(), expected.statistics(), check_exact=True)
        assert tensors_of(found) == tensors_of(expected)


def tensors_of(trace: Trace) -> list[Any]:
    """All that is kept in full."""
    entries = sorted(trace.reader.tensor_entries(), key=lambda e: (e.iteration, e.series))
    return [(e.iteration, e.series, trace.reader.read_tensor(e).tobytes()) for e in entries]
