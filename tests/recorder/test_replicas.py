"""A training on several replicas leaves the trace of the same training on one device."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deeplocalize.traces import Kind, Trace, open_trace

from .replicas import TRAININGS


@pytest.fixture(scope="module")
def runs(tmp_path_factory: Any) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("replicas")
    program = Path(__file__).with_name("replicas.py")
    done = subprocess.run(
        [sys.executable, str(program), str(directory)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    yield directory


def tensors(trace: Trace, kind: Kind) -> dict[Any, NDArray[Any]]:
    """Full tensors of a kind by iteration, layer and name."""
    header = trace.header
    return {
        (entry.iteration, header.series[entry.series].layer, header.series[entry.series].tensor):
            trace.reader.read_tensor(entry)
        for entry in trace.reader.tensor_entries()
        if header.series[entry.series].kind is kind
    }  # fmt: skip


@pytest.mark.parametrize("name", [*TRAININGS, "single"])
def test_recording_leaves_a_training_on_replicas_bit_identical(name: str, runs: Path) -> None:
    assert json.loads((runs / "report.json").read_text())[name]
    with open_trace(runs / f"{name}.h5") as trace:
        assert trace.ended == {"status": "completed"}
        assert list(trace.iterations["n_samples"]) == [32, 32, 32, 4] * 2


def test_the_parts_of_the_replicas_make_up_the_whole_step(runs: Path) -> None:
    with open_trace(runs / "mlp.h5") as trace, open_trace(runs / "alone.h5") as alone:
        kinds = [series.kind for series in trace.header.series]
        assert sorted(kinds) == sorted(series.kind for series in alone.header.series)
        assert {Kind.OUTPUT, Kind.LOSS, Kind.WEIGHT_GRADIENT} <= set(kinds)
        for kind in set(kinds):
            expected, found = tensors(alone, kind), tensors(trace, kind)
            assert expected.keys() == found.keys()
            for key, values in expected.items():
                np.testing.assert_allclose(
                    found[key], values, rtol=1e-4, atol=1e-5, err_msg=f"{kind} {key}"
                )


def test_state_is_what_the_replicas_agree_on(runs: Path) -> None:
    with open_trace(runs / "batch_normalization.h5") as trace:
        means = [v for (_, _, name), v in tensors(trace, Kind.STATE).items() if "mean" in name]
        assert len(means) == 8
        assert len({v.tobytes() for v in means}) == 8
