"""Tries the suspects' fixes on the recorded batches, and ranks the suspects by what comes of it.

The protocol: the distinct samples of the first epoch are split at random, three quarters to train
on and a quarter to judge by. The training is repeated from the recorded weights, unchanged and
then with one fix at a time, for as many steps as the run had (`recipe.MAX_STEPS` at most), each
three times with other splits and orders. The same split and seed is used with and without a fix,
so that gains are compared pair by pair.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from deeplocalize.traces.trace import Trace, open_trace

from ..causes import Suspect
from ..diagnosis import Diagnosis
from ..engine import Progress
from ..program import Program, program_of
from ..trial import Status, Trial, Verification, spread_of
from .answers import Yardstick, skill, yardstick_of
from .fixes import fixes_of
from .judgement import conclusion, judge, ranked
from .obstacle import ObstacleError
from .preparation import split, task_of
from .recipe import Recipe, Samples, Setup, recipe_of
from .situation import Fix

DEFAULT_SECONDS = 120.0

N_ROUNDS = 3

# Two rounds are the least that have a spread.
MIN_ROUNDS = 2

Train = Callable[[Setup, Recipe, Samples, Samples, int, float], NDArray[Any]]
"""Trains a setup on samples and answers to others: `keras_training.outputs_of`."""


@dataclass(frozen=True, eq=False)
class _Bench:
    """What every replay has in common."""

    recipe: Recipe
    yardstick: Yardstick
    train: Train
    seed: int
    deadline: float
    tick: Callable[[], None]


def verify(
    trace: Trace | str | Path,
    diagnosis: Diagnosis,
    seconds: float = DEFAULT_SECONDS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Diagnosis:
    """The diagnosis with every suspect's fix tried on the recorded batches.

    Verified suspects come first, the one whose fix gains most ahead; refuted ones come last.
    Keras must be installed, and the trace recorded with ``Recorder(..., replayable=True)``; else
    the diagnosis only says what is missing.

    Parameters
    ----------
    trace
        The diagnosed one: a path, or an open trace, which is left open.
    seconds
        No replay goes on for longer; suspects whose turn does not come are not tried.
    seed
        Of splits, orders and new weights. Keras's own seed is set as well.
    progress
        Called with the replays done and how many there would be.

    Raises
    ------
    TraceError
        The trace cannot be read.
    """
    if not isinstance(trace, Trace):
        with open_trace(trace) as opened:
            return verify(opened, diagnosis, seconds, seed, progress)
    try:
        recipe = recipe_of(trace.reader)
        return _verified(recipe, trace, diagnosis, _trainer(), seconds, seed, progress)
    except ObstacleError as error:
        return replace(diagnosis, verification=Verification(obstacle=str(error)))


def _trainer() -> Train:
    try:
        from .keras_training import outputs_of
    except ImportError as error:
        raise ObstacleError(
            "Keras is not installed here (pip install 'deeplocalize[tensorflow]')"
        ) from error
    return outputs_of


def _verified(
    recipe: Recipe,
    trace: Trace,
    diagnosis: Diagnosis,
    train: Train,
    seconds: float,
    seed: int,
    progress: Progress | None,
) -> Diagnosis:
    program = program_of(trace.header)
    plans = [_plan(suspect, recipe.setup, program) for suspect in diagnosis.suspects]
    forms = [form for plan in plans if not isinstance(plan, Trial) for form in plan]
    setups = [recipe.setup, *(form.setup for form in forms)]
    n_done, n_all = 0, len(setups) * N_ROUNDS

    def tick() -> None:
        nonlocal n_done
        n_done += 1
        if progress is not None:
            progress(n_done, n_all)

    yardstick = yardstick_of(recipe.samples.y, [setup.loss_name for setup in setups])
    bench = _Bench(recipe, yardstick, train, seed, time.monotonic() + seconds, tick)
    unchanged = _rounds(recipe.setup, bench)
    if len(unchanged) < MIN_ROUNDS:
        raise ObstacleError(f"two replays do not fit into the {seconds:g} seconds allowed")
    trials = [plan if isinstance(plan, Trial) else _trial(plan, unchanged, bench) for plan in plans]
    tried = [_tried(s, t) for s, t in zip(diagnosis.suspects, trials, strict=True)]
    training, judged = split(recipe.samples, seed)
    verification = Verification(
        measure=str(yardstick.measure),
        baseline=spread_of(unchanged),
        n_samples=len(recipe.samples),
        n_judged=len(judged),
        is_held_back=training is not judged,
        n_steps=recipe.setup.n_steps,
        seed=seed,
        conclusion=conclusion(trials, spread_of(unchanged)),
    )
    return replace(diagnosis, suspects=ranked(tried), verification=verification)


def _plan(suspect: Suspect, setup: Setup, program: Program) -> tuple[Fix, ...] | Trial:
    """The forms of a fix to try, or why none is tried."""
    try:
        return fixes_of(suspect, setup, program)
    except ObstacleError as error:
        return Trial(Status.NOT_TRIED, reason=str(error))


def _tried(suspect: Suspect, trial: Trial) -> Suspect:
    """The suspect with what came of it: advice that was verified is the change that was."""
    is_verified = trial.status is Status.VERIFIED
    fix = f"{trial.change[0].upper()}{trial.change[1:]}" if is_verified else suspect.fix
    return replace(suspect, trial=trial, fix=fix)


def _trial(forms: Sequence[Fix], unchanged: Sequence[float], bench: _Bench) -> Trial:
    """The best form of a fix."""
    found: list[Trial] = []
    reason = ""
    for form in forms:
        try:
            skills = _rounds(form.setup, bench, len(unchanged))
        except ObstacleError as error:
            reason = str(error)
            continue
        if len(skills) < MIN_ROUNDS:
            reason = "the time was up"
            break
        found.append(judge(form.description, skills, unchanged))
    if not found:
        return Trial(Status.NOT_TRIED, reason=reason)
    return max(found, key=lambda trial: trial.gain.mean if trial.gain else -1.0)


def _rounds(setup: Setup, bench: _Bench, n_rounds: int = N_ROUNDS) -> list[float]:
    """Skill of each replay that ended in time."""
    skills: list[float] = []
    for number in range(n_rounds):
        if time.monotonic() > bench.deadline:
            break
        try:
            skills.append(_replay(setup, bench, bench.seed + number))
        except TimeoutError:
            break
        bench.tick()
    return skills


def _replay(setup: Setup, bench: _Bench, seed: int) -> float:
    task = task_of(setup, bench.recipe.samples, bench.yardstick, seed)
    outputs = bench.train(setup, bench.recipe, task.training, task.judged, seed, bench.deadline)
    return skill(
        bench.yardstick,
        task.judged.y,
        task.target_scale.undone(outputs),
        is_index=setup.indexes_classes,
        is_logit=setup.is_from_logits,
    )
