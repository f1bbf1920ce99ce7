"""Every tool that recording is compared with can be measured, more than once in a process."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.overhead.arms import ARMS
from benchmarks.overhead.processes import measured_pairs, measured_start
from benchmarks.overhead.workloads import WORKLOADS, Workload, trained
from benchmarks.recording_overhead import ARM_NAMES, NAMES, SLOW_ARMS
from deeplocalize.recorder import Recorder

N_PAIRS, N_BATCHES = 2, 4
FAST = ("recorder", "floor")
HEAVY = ("transformer", "wide")


@pytest.mark.parametrize(
    "arm", [pytest.param(a, marks=[] if a in FAST else pytest.mark.slow) for a in ARM_NAMES]
)
def test_a_few_steps_are_measured_plain_and_with_the_tool(arm: str) -> None:
    found = measured_pairs("mlp", arm, N_PAIRS, N_BATCHES)
    assert len(found["plain_s"]) == len(found["arm_s"]) == N_PAIRS
    assert min(found["plain_s"] + found["arm_s"]) > 0
    records = arm in ("recorder", "parquet", "exact always", "exact never", "budget 0.10")
    assert ("bytes_per_step" in found) is records
    assert found.get("caught_in", True)


@pytest.mark.slow
def test_the_first_step_is_measured(tmp_path: Path) -> None:
    found = measured_start("mlp", "recorder", str(tmp_path))
    assert found["first_step_s"] > 0 and found["peak_mib"] > 0


def test_the_command_names_all_tools_and_trainings() -> None:
    assert set(ARM_NAMES) == ARMS.keys() > set(SLOW_ARMS)
    assert set(NAMES) == WORKLOADS.keys()


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in HEAVY else []) for n in NAMES]
)
def test_a_measured_training_is_not_changed(name: str, tmp_path: Path) -> None:
    # "residual" takes so much memory that TensorFlow looks for sums to rewrite.
    workload = replace(WORKLOADS[name], n_batches=2)
    plain, recorded = (
        final_variables(workload, callbacks) for callbacks in ([], [Recorder(tmp_path / "t.h5")])
    )
    for found, expected in zip(recorded, plain, strict=True):
        np.testing.assert_array_equal(found, expected)


def final_variables(workload: Workload, callbacks: list[Any]) -> list[Any]:
    model, x, y = trained(workload)
    model.fit(x, y, batch_size=workload.batch_size, epochs=2, verbose=0, callbacks=callbacks)
    return [variable.numpy() for variable in (*model.variables, *model.optimizer.variables)]
