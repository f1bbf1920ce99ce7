"""From a Keras model to the NumPy network that computes the same.

The only module here that needs Keras. Translates compiled Sequential and single-path Functional
models: weights, states, loss, metrics, and the optimizer with its state.
"""

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np

from .layers import (
    ELU,
    Activation,
    AveragePooling2D,
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Layer,
    LeakyReLU,
    MaxPooling2D,
    ReLU,
    Softmax,
)
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
from .optimizers import SGD, Adam, Optimizer, RMSprop, Schedule
from .sequential import Sequential

_ACTIVATIONS = ("linear", "relu", "leaky_relu", "elu", "sigmoid", "tanh", "softmax")


def from_keras(model: Any, seed: int | None = None) -> Sequential:
    """A NumPy network with the layers, weights and training setup of a compiled Keras model.

    Initializers are not carried over: the weights are already there. An epsilon set by
    ``keras.config.set_epsilon`` is not seen.

    Parameters
    ----------
    model
        Built and compiled; left as it is.
    seed
        Of dropout and shuffling.

    Raises
    ------
    ValueError
        Not compiled or built, more than one path, or a part without a counterpart; the message
        names the first such layer, or the loss, optimizer or metric.
    """
    if not getattr(model, "compiled", False) or not model.built:
        raise ValueError(f"{model.name}: wants a built and compiled Keras model")
    layers = list(_path(model))
    dtype = str(model.compute_dtype)
    if dtype not in ("float32", "float64") or dtype != model.variable_dtype:
        raise ValueError(f"{model.name}: dtype {model.dtype_policy.name} has no counterpart")
    network = Sequential(name=model.name, dtype=dtype, seed=seed)
    for layer in layers:
        network.add(_translated(layer))
    network.build(tuple(model.input_shape[1:]))
    network.set_weights([np.asarray(value) for layer in layers for value in layer.get_weights()])
    network.compile(_optimizer(model, network), _loss(model), _metrics(model))
    return network


def _path(model: Any) -> Iterable[Any]:
    """The layers from input to output, without the input; each fed by the one before it."""
    if not isinstance(model, keras.Sequential | keras.Model) or not hasattr(model, "layers"):
        raise ValueError(f"{model!r}: wants a Keras Sequential or Functional model")
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    if isinstance(model, keras.Sequential):
        return layers
    if len(getattr(model, "inputs", None) or ()) != 1 or len(model.outputs) != 1:
        raise ValueError(f"{model.name}: wants a model of one input and one output")
    before = model.inputs[0]
    for layer in layers:
        # A layer called elsewhere too (or shared) has further nodes; any of them may be ours.
        fed = [node for node in layer._inbound_nodes if node.input_tensors == [before]]
        if not fed:
            raise ValueError(
                f"layer {layer.name!r} is not fed by the layer before it alone; wants a model "
                "that is a single path"
            )
        before = fed[-1].output_tensors[0]
    return layers


def _translated(layer: Any) -> Layer:
    maker = _LAYERS.get(type(layer))
    if maker is None:
        raise ValueError(
            f"layer {layer.name!r} ({type(layer).__name__}) has no counterpart; there are "
            f"{', '.join(sorted(cls.__name__ for cls in _LAYERS))}"
        )
    return maker(layer)


def _require(layer: Any, **wanted: Any) -> dict[str, Any]:
    """Name and trainable, if these attributes of the layer have the only values known here."""
    for name, value in wanted.items():
        found = getattr(layer, name)
        if found != value:
            raise ValueError(
                f"layer {layer.name!r} ({type(layer).__name__}): {name}={found!r} has no "
                f"counterpart, only {value!r}"
            )
    return {"name": layer.name, "trainable": layer.trainable}


def _activation(layer: Any) -> str:
    name = getattr(layer.activation, "__name__", str(layer.activation))
    if name not in _ACTIVATIONS or layer.activation is not keras.activations.get(name):
        raise ValueError(
            f"layer {layer.name!r} ({type(layer).__name__}): activation {name!r} has no "
            f"counterpart; there are {', '.join(_ACTIVATIONS)}"
        )
    return name


def _weighted(layer: Any, **wanted: Any) -> dict[str, Any]:
    regularizers = [name for name in vars(layer) if name.endswith(("_regularizer", "_constraint"))]
    return _require(layer, **dict.fromkeys(regularizers), **wanted)


def _dense(layer: Any) -> Layer:
    common = _weighted(layer, lora_enabled=False)
    return Dense(layer.units, _activation(layer), use_bias=layer.use_bias, **common)


def _convolution(layer: Any) -> Layer:
    common = _weighted(layer, groups=1, dilation_rate=(1, 1), data_format="channels_last")
    return Conv2D(
        layer.filters,
        tuple(layer.kernel_size),
        tuple(layer.strides),
        layer.padding,
        _activation(layer),
        use_bias=layer.use_bias,
        **common,
    )


def _pooling(kind: type[MaxPooling2D] | type[AveragePooling2D]) -> Callable[[Any], Layer]:
    def make(layer: Any) -> Layer:
        common = _require(layer, data_format="channels_last")
        return kind(tuple(layer.pool_size), tuple(layer.strides), layer.padding, **common)

    return make


def _dropout(layer: Any) -> Layer:
    return Dropout(layer.rate, **_require(layer, noise_shape=None))


def _normalization(layer: Any) -> Layer:
    common = _weighted(layer, axis=_last_axis(layer), renorm=False, synchronized=False)
    return BatchNormalization(layer.momentum, layer.epsilon, layer.center, layer.scale, **common)


def _last_axis(layer: Any) -> int:
    return -1 if layer.axis == -1 else len(layer.input.shape) - 1


def _embedding(layer: Any) -> Layer:
    common = _weighted(layer, mask_zero=False, lora_enabled=False)
    return Embedding(layer.input_dim, layer.output_dim, **common)


_LAYERS: dict[type, Callable[[Any], Layer]] = {
    keras.layers.Dense: _dense,
    keras.layers.Conv2D: _convolution,
    keras.layers.MaxPooling2D: _pooling(MaxPooling2D),
    keras.layers.AveragePooling2D: _pooling(AveragePooling2D),
    keras.layers.Flatten: lambda k: Flatten(**_require(k, data_format="channels_last")),
    keras.layers.Dropout: _dropout,
    keras.layers.BatchNormalization: _normalization,
    keras.layers.Embedding: _embedding,
    keras.layers.Activation: lambda k: Activation(_activation(k), **_require(k)),
    keras.layers.ReLU: lambda k: ReLU(
        **_require(k, max_value=None, negative_slope=0.0, threshold=0.0)
    ),
    keras.layers.LeakyReLU: lambda k: LeakyReLU(float(k.negative_slope), **_require(k)),
    keras.layers.ELU: lambda k: ELU(float(k.alpha), **_require(k)),
    keras.layers.Softmax: lambda k: Softmax(**_require(k, axis=-1)),
}


def _loss(model: Any) -> Loss:
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


def _metrics(model: Any) -> tuple[str, ...]:
    compiled = model._compile_metrics
    names = tuple(compiled._user_metrics or ()) if compiled is not None else ()
    if compiled is not None and compiled._user_weighted_metrics:
        raise ValueError(f"{model.name}: weighted_metrics have no counterpart")
    names = tuple(name if isinstance(name, str) else name.name for name in names)
    for name in names:
        check_metric(name)
    return names


def _optimizer(model: Any, network: Sequential) -> Optimizer:
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


def _copy_slots(source: Any, network: Sequential, optimizer: Optimizer) -> None:
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
