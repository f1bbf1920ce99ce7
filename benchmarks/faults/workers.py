"""Trains many cases, each in one of a few processes, and keeps what was trained already."""

import multiprocessing
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from .program import Case
from .train import Training, train


def train_all(
    cases: Sequence[Case], folder: Path, n_processes: int
) -> Iterator[tuple[Case, Training | None]]:
    """Each case with its training, in order; None where the program itself does not run."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(
        TF_CPP_MIN_LOG_LEVEL="3", TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1"
    )
    jobs: Iterable[tuple[Case, Path]] = [(case, folder) for case in cases]
    # TensorFlow keeps memory of every model it has seen: workers are replaced now and then.
    with multiprocessing.get_context("spawn").Pool(n_processes, maxtasksperchild=25) as pool:
        for done, (case, training) in enumerate(
            zip(cases, pool.imap(_train, jobs), strict=True), start=1
        ):
            print(f"\r{done}/{len(cases)} trained", end="", file=sys.stderr, flush=True)
            yield case, training
    print(file=sys.stderr)


def _train(job: tuple[Case, Path]) -> Training | None:
    case, folder = job
    try:
        return train(case, folder)
    except Exception as error:  # a mutant may be refused by Keras: it is listed, not counted
        print(f"\n{case.name} does not run: {error!r:.200}", file=sys.stderr)
        return None
