"""What was trained, as the header tells it: layers with kernels, the head, the loss, the data.

Facts only; whether they are right is for the rules. A model whose structure cannot be told
(several outputs, layers of the user's own) has fewer facts, not wrong ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deeplocalize.traces.header import DataSummary, Header, Layer, Series
from deeplocalize.traces.schema import Kind

from .graph import declared_outputs, feeding_any, is_followed, is_known, output_layers, series_of
from .loss import Loss, loss_of

# Layers that only set an activation, and those that change neither values nor their order.
ACTIVATION_CLASSES = frozenset(
    {"Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"}
)  # fmt: skip
NOISE_CLASSES = frozenset(
    {"Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout",
     "GaussianDropout", "GaussianNoise"}
)  # fmt: skip
LINEAR_CLASSES = frozenset(
    {"Flatten", "Reshape", "Permute", "Dropout", "SpatialDropout1D", "SpatialDropout2D",
     "BatchNormalization", "AveragePooling1D", "AveragePooling2D", "GlobalAveragePooling1D",
     "GlobalAveragePooling2D", "ZeroPadding2D", "Cropping2D", "UpSampling2D", "Activation",
     "InputLayer", "Rescaling", "Normalization"}
)  # fmt: skip
KERNEL_CLASSES = frozenset(
    {"Dense", "Conv1D", "Conv2D", "Conv3D", "SeparableConv2D", "DepthwiseConv2D",
     "Conv2DTranspose", "EinsumDense", "LSTM", "GRU", "SimpleRNN"}
)  # fmt: skip
# Activations whose derivative is bounded.
_GENTLE_ACTIVATIONS = frozenset(
    {"", "linear", "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "swish", "mish",
     "sigmoid", "hard_sigmoid", "tanh", "softmax", "softplus", "softsign"}
)  # fmt: skip
RECURRENT_CLASSES = frozenset({"LSTM", "GRU", "SimpleRNN"})


@dataclass(frozen=True)
class Kernel:
    """A trained weight of two axes or more that is no bias: its layer and its series.

    A series of -1 was not recorded.
    """

    layer: int
    weight: int
    gradient: int
    update: int
    shape: tuple[int, ...]

    @property
    def fan_in(self) -> int:
        """Elements that each output of the kernel sums over."""
        return _product(self.shape[:-1])

    @property
    def fan_out(self) -> int:
        """Outputs that each element takes part in."""
        return _product(self.shape[:-2]) * self.shape[-1]


@dataclass(frozen=True)
class Head:
    """The end of a network with one output.

    Layers are positions in ``header.layers``. ``activation`` is the last one applied, by the
    layer ``activated_by``; empty if not known. ``inner_activation`` is that of the weighted
    layer itself where a layer of its own applies another. ``trailing`` are layers behind that
    still change the values. ``is_certain`` tells that the model returns just that: what a
    subclassed model does behind its last layer is not known.
    """

    kernel_layer: int
    activated_by: int
    activation: str
    inner_activation: str
    n_units: int
    output: int
    trailing: tuple[int, ...]
    is_certain: bool = True


@dataclass(frozen=True, eq=False)
class Program:
    """A training program.

    Attributes
    ----------
    head
        None where there are several outputs or the end is not understood.
    hidden
        Weighted layers before the head, in order, with the activation that follows each
        (empty: not known).
    kernels
        Every recorded kernel, in order.
    target, inputs
        Summaries of the only target (None: several, or none) and of all inputs.
    """

    header: Header
    layers: tuple[int, ...]
    loss: Loss
    head: Head | None
    hidden: tuple[tuple[int, str], ...]
    kernels: tuple[Kernel, ...]
    target: DataSummary | None
    inputs: tuple[DataSummary, ...]

    def layer(self, index: int) -> Layer:
        """A layer by its position in the header."""
        return self.header.layers[index]

    @property
    def is_embedding(self) -> bool:
        """Whether inputs are tokens."""
        return any(layer.class_name == "Embedding" for layer in self.header.layers)


def program_of(header: Header) -> Program:
    """The program behind a header."""
    layers = tuple(
        sorted(
            (
                i
                for i, layer in enumerate(header.layers)
                if layer.index >= 0 and "/" not in layer.path and layer.class_name != "InputLayer"
            ),
            key=lambda i: (header.layers[i].order, header.layers[i].index),
        )
    )
    targets = [summary for summary in header.data if summary.role is Kind.LABEL]
    head = _head(header, layers)
    return Program(
        header=header,
        layers=layers,
        loss=loss_of(header.loss),
        head=head,
        hidden=_hidden(header, layers, head),
        kernels=tuple(_kernels(header)),
        target=targets[0] if len(targets) == 1 else None,
        inputs=tuple(summary for summary in header.data if summary.role is Kind.INPUT),
    )


def activation_of(layer: Layer) -> str:
    """Name of a layer's activation; empty if it has none that is known."""
    return (layer.activation or "").removesuffix("_v2")


def only_multiplies(layer: Layer) -> bool:
    """Whether a layer's derivative has no pole: products with a kernel, bounded activations."""
    return layer.class_name in KERNEL_CLASSES and activation_of(layer) in _GENTLE_ACTIVATIONS


def n_columns(summary: DataSummary) -> int:
    """Length of the last axis of a target; 1 where it has only the batch's."""
    return int(summary.shape[-1] or 1) if len(summary.shape) > 1 else 1


def _head(header: Header, layers: Sequence[int]) -> Head | None:
    trailing: list[int] = []
    activation, activated_by, is_reshaped = "", -1, False
    for i in _from_the_end(header, layers):
        layer = header.layers[i]
        if layer.class_name in NOISE_CLASSES:
            if not activation:
                trailing.append(i)
        elif layer.class_name in ACTIVATION_CLASSES and not activation:
            activation, activated_by = activation_of(layer), i
        elif layer.class_name in KERNEL_CLASSES:
            inner = activation_of(layer)
            output = _output_series(header, activated_by if activation else i)
            return Head(
                kernel_layer=i,
                activated_by=activated_by if activation else i,
                activation=activation or inner,
                inner_activation=inner if activation else "",
                n_units=_width(
                    layer, header.series[output] if is_reshaped and output >= 0 else None
                ),
                output=output,
                trailing=tuple(reversed(trailing)),
                is_certain=is_known(header),
            )
        elif layer.class_name in ("Reshape", "Flatten"):
            is_reshaped = bool(activation)
        else:
            return None
    return None


def _from_the_end(header: Header, layers: Sequence[int]) -> Iterator[int]:
    """The layers that lead to the only output, last first, as far as one leads to the next."""
    declared = declared_outputs(header)
    if not declared:
        is_one = len(output_layers(header).intersection(layers)) <= 1
        yield from reversed(layers if is_one else ())
        return
    places = {header.layers[i].name: i for i in layers}
    ahead = declared
    while len(ahead) == 1 and ahead[0] in places:
        yield places[ahead[0]]
        ahead = header.layers[places[ahead[0]]].inbound


def _width(layer: Layer, reshaped: Series | None) -> int:
    """Units of a layer, or what a layer behind it that changes shapes made of them; 0: unknown."""
    if reshaped is not None:
        return int(reshaped.shape[-1] or 0) if reshaped.shape else 0
    return int(layer.config.get("units", layer.config.get("filters")) or 0)


def _output_series(header: Header, layer: int) -> int:
    """The output of the layer's last call: those before may have built it on no data."""
    return max(series_of(header, layer, Kind.OUTPUT), default=-1)


def _hidden(
    header: Header, layers: Sequence[int], head: Head | None
) -> tuple[tuple[int, str], ...]:
    """Layers with a kernel before the output's own, each with its activation.

    Of several outputs, or one of unknown kind, layers that feed another kernel for certain.
    """
    with_kernel = [i for i in layers if header.layers[i].class_name in KERNEL_CLASSES]
    if head is None:
        end = len(layers)
        inner = feeding_any(header, with_kernel)
        found = [i for i in with_kernel if i in inner]
    else:
        end = layers.index(head.kernel_layer)
        found = [i for i in with_kernel if i in layers[:end]]
    return tuple((i, _seen_activation(header, layers[layers.index(i) : end])) for i in found)


def _seen_activation(header: Header, layers: Sequence[int]) -> str:
    """The activation that follows a layer, which is linear only if no operation may follow it."""
    activation = _following_activation(header, layers)
    return activation if activation != "linear" or is_followed(header, layers[0]) else ""


def _following_activation(header: Header, layers: Sequence[int]) -> str:
    """The first activation that is not linear, of a layer or behind it; empty if not known."""
    for place, i in enumerate(layers):
        layer = header.layers[i]
        if place and layer.class_name in KERNEL_CLASSES:
            break
        name = activation_of(layer)
        if name and name != "linear":
            return name
        if place and layer.class_name not in LINEAR_CLASSES:
            return ""
    return "linear"


def _kernels(header: Header) -> list[Kernel]:
    places: dict[tuple[object, ...], int] = {}
    for i, series in enumerate(header.series):
        places[(series.kind, series.layer, series.tensor)] = i
    return [
        Kernel(
            layer=series.layer,
            weight=i,
            gradient=places.get((Kind.WEIGHT_GRADIENT, series.layer, series.tensor), -1),
            update=places.get((Kind.WEIGHT_UPDATE, series.layer, series.tensor), -1),
            shape=tuple(length or 1 for length in series.shape),
        )
        for i, series in enumerate(header.series)
        if _is_kernel(series) and series.layer is not None
    ]


def _is_kernel(series: Series) -> bool:
    # The biases of attention heads have two axes, and begin with 0 as all do.
    is_bias = series.tensor.endswith("bias")
    return series.kind is Kind.WEIGHT and len(series.shape) >= 2 and not is_bias


def _product(lengths: Sequence[int]) -> int:
    product = 1
    for length in lengths:
        product *= length
    return product
