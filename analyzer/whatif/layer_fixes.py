"""Fixes of the layers before the output: activations, weights to begin with, sizes, number."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..program import KERNEL_CLASSES, RECURRENT_CLASSES
from ..rules.rule import Symptom
from .configuration import (
    Entry,
    each,
    entries,
    entry_named,
    layer,
    name_of,
    settings,
    with_class,
    with_layer_before,
    with_settings,
)
from .obstacle import ObstacleError
from .output_fixes import enough_outputs
from .situation import Fix, Situation

HIDDEN_UNITS = 32
"""Units of a layer that a fix widens or adds: what the advice of the suspects says."""


def hidden_activation(situation: Situation) -> Iterable[Fix]:
    """The same change in every hidden layer that is activated as the suspected one."""
    hidden = dict(situation.program.hidden)
    suspect = situation.suspect.layer
    old = next(
        (a for i, a in hidden.items() if suspect is not None and situation.name(i) == suspect.name),
        "linear" if situation.showing(Symptom.NO_NONLINEARITY) else "",
    )
    if not old and situation.suspect.layer is not None:
        old = str(settings(situation.entry).get("activation") or "")
    if not old:
        raise ObstacleError("the activation of the suspected layer is not known")
    new = "leaky_relu" if old == "relu" else "relu"
    ends = {situation.name(i) for i in (situation.head.kernel_layer, situation.head.activated_by)}
    allowed = {"Activation", *(KERNEL_CLASSES - RECURRENT_CLASSES)}
    if old == "linear":
        allowed -= {"Activation"}

    def change(entry: Entry) -> Entry:
        is_meant = entry.get("class_name") in allowed and name_of(entry) not in ends
        if not is_meant or settings(entry).get("activation") != old:
            return entry
        return {**entry, "config": {**settings(entry), "activation": new}}

    config = each(situation.setup.config, change)
    if config == each(situation.setup.config, lambda entry: entry):
        raise ObstacleError(f"no layer has the activation {old} as a setting")
    yield Fix(f"hidden activations {old} → {new}", replace(situation.setup, config=config))


def weight_initialization(situation: Situation) -> Iterable[Fix]:
    """Weights drawn anew, in every layer that is initialised as the suspected one."""
    suspected = settings(situation.entry).get("kernel_initializer")
    if suspected is None:
        raise ObstacleError("the suspected layer has no kernel initializer")
    chosen = {
        name_of(entry): _usual_initializer(settings(entry))
        for entry in entries(situation.setup.config)
        if _drawn_by(settings(entry)) == _drawn_by(settings(situation.entry))
    }

    def change(entry: Entry) -> Entry:
        new = chosen.get(name_of(entry))
        if new is None:
            return entry
        weights = {"kernel_initializer": new, "bias_initializer": "zeros"}
        return {**entry, "config": {**settings(entry), **weights}}

    usual = " and ".join(sorted(set(chosen.values())))
    yield Fix(
        f"weights of {', '.join(chosen)} drawn anew by {usual}, biases 0",
        replace(
            situation.setup,
            config=each(situation.setup.config, change),
            redrawn=frozenset(chosen),
        ),
    )


def _drawn_by(config: Mapping[str, Any]) -> str:
    initializer = config.get("kernel_initializer")
    if isinstance(initializer, Mapping):
        return str(initializer.get("class_name"))
    return str(initializer)


def _usual_initializer(config: Mapping[str, Any]) -> str:
    return "he_normal" if "relu" in str(config.get("activation")) else "glorot_uniform"


def output_shape(situation: Situation) -> Iterable[Fix]:
    """As many outputs as classes, or a layer with more units."""
    if situation.showing(Symptom.TOO_FEW_OUTPUTS):
        yield from enough_outputs(situation)
        return
    name, config = name_of(situation.entry), settings(situation.entry)
    size = next((key for key in ("units", "filters") if key in config), "")
    if not size:
        raise ObstacleError("the suspected layer has no number of units")
    wider = with_settings(situation.setup.config, name, **{size: HIDDEN_UNITS})
    yield Fix(
        f'"{name}": {config[size]} → {HIDDEN_UNITS} {size}', replace(situation.setup, config=wider)
    )


def missing_layer(situation: Situation) -> Iterable[Fix]:
    """A hidden layer before the output."""
    if situation.setup.model_class != "Sequential":
        raise ObstacleError("a layer can be added to a Sequential model only")
    name = situation.name(situation.head.kernel_layer)
    entry_named({"layers": situation.setup.config.get("layers", ())}, name)
    new = layer("Dense", name="whatif_hidden", units=HIDDEN_UNITS, activation="relu")
    config = with_layer_before(situation.setup.config, name, new)
    yield Fix(
        f'Dense({HIDDEN_UNITS}, relu) added before "{name}"',
        replace(situation.setup, config=config),
    )


def extra_layer(situation: Situation) -> Iterable[Fix]:
    """The model without a layer, or a layer without its regularizers and constraints."""
    name = name_of(situation.entry)
    if situation.showing(Symptom.CRUSHED_WEIGHTS):
        holds = ("_regularizer", "_constraint")
        off = {key: None for key in settings(situation.entry) if key.endswith(holds)}
        config = with_settings(situation.setup.config, name, **off)
        change = f'regularizers and constraints of "{name}" removed'
        yield Fix(change, replace(situation.setup, config=config))
        return
    config = with_class(situation.setup.config, name, "Identity")
    yield Fix(f'"{name}" removed', replace(situation.setup, config=config))
