"""Fixes of a model's end: its activation, its units and the loss that judges them."""

from collections.abc import Iterable
from dataclasses import replace

from deeplocalize.traces.header import DataSummary

from ..causes import Target
from ..program import RECURRENT_CLASSES, n_columns
from ..rules.rule import Symptom
from .configuration import with_class, with_settings
from .obstacle import ObstacleError
from .situation import Fix, Situation

# Losses that go wrong by what is around them.
_OUTSIDE = (Symptom.BROADCAST_LOSS, Symptom.OUTWEIGHED_LOSS, Symptom.NO_GRADIENT)


def output_activation(situation: Situation) -> Iterable[Fix]:
    """The activation that the loss and the targets ask for."""
    head, program = situation.head, situation.program
    if situation.showing(Symptom.RECTIFIED_LOGITS) and head.inner_activation:
        name = situation.name(head.kernel_layer)
        config = with_settings(situation.setup.config, name, activation="linear")
        yield Fix(f'"{name}" left linear', replace(situation.setup, config=config))
        return
    if situation.showing(Symptom.NEGATIVE_RATES):
        yield _with_output(situation, "exponential")
        return
    if program.loss.from_logits:
        yield _with_output(situation, "linear")
        return
    target = program.target
    is_binary = target is not None and _is_binary(target)
    if target is not None and is_binary and not target.is_one_hot and n_columns(target) > 1:
        yield _with_output(situation, "sigmoid", "binary_crossentropy")
    elif program.loss.is_over_classes:
        yield _with_output(situation, "softmax")
    elif program.loss.name == "binary_crossentropy":
        yield _with_output(situation, "sigmoid")
    elif is_binary:
        yield _with_output(situation, "sigmoid", "binary_crossentropy")
    else:
        yield _with_output(situation, "linear")


def loss_function(situation: Situation) -> Iterable[Fix]:
    """The loss that the targets ask for, with the output that it takes."""
    target = situation.program.target
    if situation.showing(*_OUTSIDE):
        raise ObstacleError("what to change is inside a training step or a layer")
    if target is None:
        raise ObstacleError("the trace does not say what the targets are")
    if target.is_integer_valued is False:
        yield _with_output(situation, "linear", "mean_squared_error")
    elif target.is_one_hot:
        yield _with_output(situation, "softmax", "categorical_crossentropy")
    elif _is_binary(target):
        yield _with_output(situation, "sigmoid", "binary_crossentropy")
    else:
        yield from enough_outputs(situation)


def enough_outputs(situation: Situation) -> Iterable[Fix]:
    """A softmax over as many classes as the targets have."""
    target = situation.program.target
    if target is None or target.max is None or target.min is None or target.min < 0:
        raise ObstacleError("the trace does not say how many classes there are")
    if target.is_one_hot:
        fix = _with_output(situation, "softmax", "categorical_crossentropy")
        n_units = n_columns(target)
    else:
        fix = _with_output(situation, "softmax", "sparse_categorical_crossentropy")
        n_units = int(target.max) + 1
    name = situation.name(situation.head.kernel_layer)
    config = with_settings(fix.setup.config, name, units=n_units)
    yield Fix(f"{fix.description}, {n_units} units", replace(fix.setup, config=config))


def _with_output(situation: Situation, activation: str, loss: str | None = None) -> Fix:
    """The model with another activation at its end, and another loss where one is given."""
    head, setup = situation.head, situation.setup
    kernel = situation.program.layer(head.kernel_layer)
    if kernel.class_name in RECURRENT_CLASSES:
        raise ObstacleError(f'the activation of "{kernel.name}" is part of its recurrence')
    if head.activated_by == head.kernel_layer:
        config = with_settings(setup.config, kernel.name, activation=activation)
    else:
        config = with_settings(setup.config, kernel.name, activation="linear")
        name = situation.name(head.activated_by)
        config = with_class(config, name, "Activation", activation=activation)
    words = f"output activation {head.activation or 'none'} → {activation}"
    if loss is None or loss == situation.program.loss.name:
        return Fix(words, replace(setup, config=config))
    words += f", loss {situation.program.loss.name or 'unknown'} → {loss}"
    return Fix(words, replace(setup, config=config, loss=loss))


def _is_binary(target: DataSummary) -> bool:
    return (target.min, target.max) == (0, 1) and bool(target.is_integer_valued)


def stable_loss(situation: Situation) -> Iterable[Fix]:
    """The same loss from logits, which Keras computes without a logarithm of 0."""
    name, activation = situation.program.loss.name, situation.head.activation
    classes = {
        ("binary_crossentropy", "sigmoid"): "BinaryCrossentropy",
        ("categorical_crossentropy", "softmax"): "CategoricalCrossentropy",
        ("sparse_categorical_crossentropy", "softmax"): "SparseCategoricalCrossentropy",
    }
    class_name = classes.get((name, activation))
    if situation.suspect.target is not Target.LOSS or class_name is None:
        raise ObstacleError("what to change is inside the computation of a layer or loss")
    fix = _with_output(situation, "linear")
    loss = {"class_name": class_name, "config": {"from_logits": True, "name": name}}
    yield Fix(f"{fix.description}, {name} from logits", replace(fix.setup, loss=loss))
