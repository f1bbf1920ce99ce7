"""From a Keras model's loss, metrics and optimizer to ours; needs Keras, as ``from_keras.py``."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from .losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
    loss_named,
)
from .metrics import check_metric
from .network import Network
from .optimizers import SGD, Adam, Optimizer, RMSprop, Schedule


def loss_from_keras(model: Any) -> Loss:
    """The compiled loss; ValueError if it has no counterpart."""
    source = model.loss
    if isinstance(source, str):
        return loss_named(source)
    if not isinstance(source, keras.losses.Loss):
        return loss_named(getattr(source, "__name__", repr(source)))
    name = type(source).__name__
    if type(source) not in _LOSSES:
        known = ", ".join(cls.__name__ for cls in _LOSSES)
        raise ValueError(f"loss {name} has no counterpart; there are {known}")
    arguments = {"reduction": source.reduction, **source._fn_kwargs}
    for argument, only in _ONLY.items():
        found = arguments.pop(argument, only)
        if found != only:
            raise ValueError(f"loss {name}: {argument}={found!r} has no counterpart, only {only!r}")
    return _LOSSES[type(source)](**arguments)


_LOSSES: dict[type, Callable[..., Loss]] = {
    keras.losses.CategoricalCrossentropy: CategoricalCrossentropy,
    keras.losses.SparseCategoricalCrossentropy: SparseCategoricalCrossentropy,
    keras.losses.BinaryCrossentropy: BinaryCrossentropy,
    keras.losses.MeanSquaredError: MeanSquaredError,
    keras.losses.MeanAbsoluteError: MeanAbsoluteError,
    keras.losses.Huber: Huber,
}

_ONLY = {
    "reduction": "sum_over_batch_size",
    "label_smoothing": 0.0,
    "ignore_class": None,
    "axis": -1,
}


def metrics_from_keras(model: Any) -> tuple[str, ...]:
    """Names of the compiled metrics; ValueError if one has no counterpart."""
    compiled = model._compile_metrics
    names = tuple(compiled._user_metrics or ()) if compiled is not None else ()
    if compiled is not None and compiled._user_weighted_metrics:
        raise ValueError(f"{model.name}: weighted_metrics have no counterpart")
    names = tuple(name if isinstance(name, str) else name.name for name in names)
    for name in names:
        check_metric(name)
    return names


def optimizer_from_keras(model: Any, network: Network) -> Optimizer:
    """The compiled optimizer with its state; ValueError if it has no counterpart."""
    source = model.optimizer
    for argument in ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm"):
        _refuse(source, argument, None)
    _refuse(source, "use_ema", False)
    _refuse(source, "gradient_accumulation_steps", None)
    optimizer: Optimizer
    rate = _learning_rate(source)
    kind = type(source)
    if kind is keras.optimizers.SGD:
        optimizer = SGD(rate, source.momentum, source.nesterov)
    elif kind is keras.optimizers.RMSprop:
        optimizer = RMSprop(rate, source.rho, source.momentum, source.epsilon, source.centered)
    elif kind is keras.optimizers.Adam:
        _refuse(source, "amsgrad", False)
        optimizer = Adam(rate, source.beta_1, source.beta_2, source.epsilon)
    else:
        raise ValueError(
            f"optimizer {kind.__name__} has no counterpart; there are SGD, RMSprop, Adam"
        )
    optimizer.iterations = int(source.iterations)
    if source.built:
        _copy_slots(source, network, optimizer)
    return optimizer


def _refuse(optimizer: Any, argument: str, only: object) -> None:
    found = getattr(optimizer, argument, only)
    if found != only:
        raise ValueError(
            f"optimizer {type(optimizer).__name__}: {argument}={found!r} has no counterpart, "
            f"only {only!r}"
        )


def _learning_rate(optimizer: Any) -> float | Schedule:
    rate = optimizer._learning_rate
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        return lambda iteration: float(rate(iteration))
    if callable(rate):
        return lambda iteration: float(rate())
    return float(optimizer.learning_rate)


def _copy_slots(source: Any, network: Network, optimizer: Optimizer) -> None:
    """Slots stand in Keras's order: by the attribute that lists them, then by weight."""
    keys = [
        f"{layer.name}/{name}"
        for layer in network.layers
        if layer.is_learning
        for name in layer.weights
    ]
    lists = {
        "momentum": getattr(source, "momentums", None) or getattr(source, "_momentums", None),
        "velocity": getattr(source, "_velocities", None),
        "average_gradient": getattr(source, "_average_gradients", None),
    }
    for name in optimizer.slot_names():
        for key, variable in zip(keys, lists[name] or (), strict=True):
            optimizer.slots.setdefault(key, {})[name] = np.array(
                keras.ops.convert_to_numpy(variable)
            )
