"""Fixes of how a model is trained, and on what: optimizer, length, data."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..optimizer import optimizer_facts
from ..rules.rule import Symptom
from .obstacle import ObstacleError
from .situation import Fix, Situation

LONGER = 10
"""A training that is longer is this many times as long, as the advice says."""

ADAM = {"class_name": "Adam", "config": {"name": "adam", "learning_rate": 0.001}}

_RAISE = frozenset(
    {Symptom.SMALL_STEPS, Symptom.FEW_STEPS, Symptom.TINY_UPDATE, Symptom.UNCHANGED_WEIGHT}
)


def learning_rate(situation: Situation) -> Iterable[Fix]:
    """Two smaller or two larger learning rates, as the symptoms point."""
    optimizer, config = situation.setup.optimizer, _config(situation)
    rate = config.get("learning_rate")
    if not isinstance(rate, int | float) or isinstance(rate, bool) or not rate:
        raise ObstacleError("the learning rate is no plain number other than 0")
    for factor in (10, 100) if situation.showing(*_RAISE) else (0.1, 0.01):
        changed = {**optimizer, "config": {**config, "learning_rate": rate * factor}}
        yield Fix(
            f"learning rate {rate:.3g} → {rate * factor:.3g}",
            replace(situation.setup, optimizer=changed),
        )


def _config(situation: Situation) -> Mapping[str, Any]:
    config = situation.setup.optimizer.get("config")
    return config if isinstance(config, Mapping) else {}


def optimizer(situation: Situation) -> Iterable[Fix]:
    """Its usual settings, or Adam at its usual learning rate."""
    old = optimizer_facts(situation.program.header)
    if situation.showing(Symptom.OPTIMIZER_SETTINGS):
        kept = {key: value for key, value in _config(situation).items() if key == "learning_rate"}
        changed = {**situation.setup.optimizer, "config": kept}
        yield Fix(
            f"{old.class_name} with its usual settings but for the learning rate",
            replace(situation.setup, optimizer=changed),
        )
        return
    yield Fix(
        f"optimizer {old} → Adam with learning rate 0.001",
        replace(situation.setup, optimizer=ADAM),
    )


def longer(situation: Situation) -> Iterable[Fix]:
    """More steps."""
    if situation.showing(Symptom.NO_BATCH_VARIANCE):
        raise ObstacleError("a replay trains on the batches as they were recorded")
    n = situation.setup.n_steps
    yield Fix(f"{n} → {LONGER * n} steps", replace(situation.setup, n_steps=LONGER * n))


def input_scale(situation: Situation) -> Iterable[Fix]:
    """Inputs of mean 0 and variance 1."""
    if situation.program.is_embedding:
        raise ObstacleError("the inputs are tokens")
    yield Fix("inputs standardised", replace(situation.setup, scales_inputs=True))


def input_values(situation: Situation) -> Iterable[Fix]:
    """Only finite samples."""
    if situation.showing(Symptom.OUTLYING_VALUE):
        raise ObstacleError("which values are out of line is for a person to say")
    yield Fix(
        "samples with NaN or infinities left out", replace(situation.setup, drops_nonfinite=True)
    )


def label_encoding(situation: Situation) -> Iterable[Fix]:
    """Targets of mean 0 and variance 1, or classes counted from 0.

    Raises
    ------
    ObstacleError
        The loss takes no targets below 0.
    """
    if situation.showing(Symptom.TARGET_NOT_SCALED):
        if situation.program.loss.name == "mean_squared_logarithmic_error":
            raise ObstacleError("standardised targets go below 0, where this loss has none")
        yield Fix("targets standardised", replace(situation.setup, scales_targets=True))
    else:
        yield Fix("classes numbered from 0", replace(situation.setup, indexes_classes=True))
