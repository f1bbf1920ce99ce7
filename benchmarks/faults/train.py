"""Trains a case, records it, and keeps the trace with what the model came to."""

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .distortions import distorted
from .program import Case, Goal, Group
from .tasks import Data, load


@dataclass(frozen=True)
class Training:
    """What came of a case.

    ``skill`` is how much of the way from always answering the same (0) to perfect answers (1)
    the trained model came on its own training data.
    """

    trace: str
    skill: float
    n_iterations: int
    train_s: float


def data_of(case: Case) -> Data:
    """The data that a case trains on."""
    if case.group in (Group.KNOWN, Group.REPAIRED):
        from .standins import stand_in

        return stand_in(case.program.task)
    return distorted(load(case.program.task), case.program.distortions)


def train(case: Case, folder: Path) -> Training:
    """The training of a case, from the folder where it is already there."""
    stem = folder / f"{case.name.replace('/', '.')}-{case.program.fingerprint}"
    kept = Path(f"{stem}.json")
    if kept.exists():
        return Training(**json.loads(kept.read_text()))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    import keras

    from deeplocalize.recorder import Recorder

    from .build import compiled

    keras.backend.clear_session()
    data, program = data_of(case), case.program
    model = compiled(program, data.x.shape[1:], str(data.x.dtype))
    start = time.perf_counter()
    n_repeats = int(program.task.get("n_repeats", 1))
    order = _orders(len(data.x), n_repeats, program.seed)
    history = model.fit(
        data.x[order],
        data.y[order],
        epochs=program.n_epochs,
        batch_size=program.batch_size,
        shuffle=n_repeats == 1,
        verbose=0,
        callbacks=[Recorder(f"{stem}.h5", overwrite=True)],
    )
    train_s = time.perf_counter() - start
    predicted = np.asarray(model.predict(data.x, batch_size=256, verbose=0), np.float64)
    n_iterations = len(history.epoch) * -(-len(order) // program.batch_size)
    result = Training(f"{stem}.h5", skill(predicted, data), n_iterations, train_s)
    kept.write_text(json.dumps(asdict(result)))
    return result


def _orders(n: int, n_repeats: int, seed: int) -> NDArray[np.int64]:
    """The samples as they are, or several times, each time in an order of its own."""
    if n_repeats == 1:
        return np.arange(n)
    random = np.random.default_rng(seed)
    return np.concatenate([random.permutation(n) for _ in range(n_repeats)])


def skill(predicted: NDArray[Any], data: Data) -> float:
    """1 for perfect answers, 0 for those of someone who has not seen the inputs; never below 0."""
    if not np.isfinite(predicted).all():
        return 0.0
    truth = np.asarray(data.truth)
    if data.goal is Goal.VALUES:
        truth = truth.reshape(predicted.shape).astype(np.float64)
        variance = np.mean((truth - truth.mean(axis=0)) ** 2)
        return float(max(0.0, 1 - np.mean((truth - predicted) ** 2) / max(variance, 1e-300)))
    if data.goal is Goal.LABELS:
        answers = predicted.reshape(truth.shape) > _threshold(predicted)
        base = float(np.mean(np.maximum(truth.mean(axis=0), 1 - truth.mean(axis=0))))
    else:
        if predicted.shape[-1] == 1:
            answers = predicted.reshape(truth.shape) > _threshold(predicted)
        else:
            answers = predicted.argmax(axis=-1).reshape(truth.shape)
        base = float(np.unique(truth, return_counts=True)[1].max() / truth.size)
    right = float(np.mean(answers == truth))
    return max(0.0, (right - base) / (1 - base)) if base < 1 else 0.0


def _threshold(predicted: NDArray[Any]) -> float:
    """Logits are cut at 0, probabilities at a half."""
    return 0.5 if predicted.min() >= 0 and predicted.max() <= 1 else 0.0
