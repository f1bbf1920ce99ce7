"""Traces that can be replayed, and trainings that are made up in the place of Keras's."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deeplocalize.analyzer import analyze
from deeplocalize.analyzer.causes import Cause, Suspect, Target
from deeplocalize.analyzer.diagnosis import Diagnosis
from deeplocalize.analyzer.rules.rule import Symptom
from deeplocalize.analyzer.whatif import protocol
from deeplocalize.analyzer.whatif.recipe import Recipe, Samples, Setup
from deeplocalize.traces.files import create_writer
from deeplocalize.traces.header import Header, Opening
from deeplocalize.traces.interface import Tensor
from deeplocalize.traces.schema import ITERATIONS, Kind
from deeplocalize.traces.table import Block, Table

from .runs import HEADER, FakeRun
from .test_safety import layer

CONFIG = {"layers": [layer("Dense"), layer("Dense")]}
N_BATCHES, BATCH = 5, 32
OPENING = Opening(max_batches=200, max_bytes=1 << 20)


def replayable(header: Header = HEADER) -> Header:
    return replace(header, model_config=CONFIG, opening=OPENING)


def write(
    path: Path, run: FakeRun, n_batches: int = N_BATCHES, repeats: bool = False, first: int = 0
) -> Path:
    """A trace with its first batches in full; labels say on which side of 0 the inputs lie."""
    writer = create_writer(path)
    writer.write_header(run.header)
    writer.append(numbered_from(first, run.block()))
    random = np.random.default_rng(0)
    for iteration in range(n_batches):
        if iteration == 0 or not repeats:
            x = random.normal(size=(BATCH, 4)).astype(np.float32)
            y = np.eye(3, dtype=np.float32)[(x[:, 0] > 0).astype(int) + (x[:, 1] > 0)]
        writer.append_tensors(
            [
                Tensor(first + iteration, run.index(Kind.INPUT), x),
                Tensor(first + iteration, run.index(Kind.LABEL), y),
            ]
        )
    writer.append_events(run.events)
    writer.close()
    return path


def numbered_from(first: int, block: Block) -> Block:
    """The block of a training that goes on from another."""
    columns = {name: block.iterations[name] for name in block.iterations.names}
    columns["iteration"] = columns["iteration"] + first
    return Block(Table(ITERATIONS, columns), block.recorded + first, block.statistics)


def faulty_run() -> FakeRun:
    """A run with suspects: its loss does not fall, and its updates are tiny."""
    run = FakeRun(n_iterations=400, header=replayable())
    run.iterations["loss"][:] = 1.1 + 0.01 * np.random.default_rng(0).random(400)
    for name in ("kernel", "bias"):
        for layer_name in ("fc1", "fc2"):
            run.put(slice(None), Kind.WEIGHT_UPDATE, layer_name, name, rms=1e-12, mean_abs=1e-12)
    return run


def suspect(cause: Cause, confidence: float, *symptoms: Symptom) -> Suspect:
    return Suspect(cause, Target.TRAINING, None, confidence, symptoms, ("seen",), "Mend it")


RATE = suspect(Cause.LEARNING_RATE, 0.9, Symptom.LARGE_STEPS)
SCALE = suspect(Cause.INPUT_SCALE, 0.5)
LONGER = suspect(Cause.EPOCHS_OR_BATCH_SIZE, 0.4)
DATA = suspect(Cause.DATA_OTHER, 0.3)

Learns = Callable[[Setup, int], float]
"""The share of right answers that a training comes to."""


def with_trainer(monkeypatch: pytest.MonkeyPatch, learns: Learns) -> None:
    """Put a training that is made up in the place of Keras's."""

    def train(
        setup: Setup, recipe: Recipe, training: Samples, judged: Samples, seed: int, deadline: float
    ) -> NDArray[Any]:
        truth = judged.y.argmax(axis=1)
        is_right = np.random.default_rng(seed).random(len(truth)) < learns(setup, seed)
        return np.asarray(np.eye(3)[np.where(is_right, truth, (truth + 1) % 3)])

    monkeypatch.setattr(protocol, "_trainer", lambda: train)


def diagnosed(path: Path, *suspects: Suspect) -> Diagnosis:
    return replace(analyze(path), suspects=suspects)
