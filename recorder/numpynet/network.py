"""The network as a thing: layers in order, their names, shapes and weights."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Array, Shape
from .layers import Layer
from .step import as_input, forward
from .summary import summary

_DTYPES = ("float32", "float64")


class Network:
    """A chain of layers, each fed by the one before it.

    Layers get their weights as soon as the shape of the input is known: from the first layer's
    ``input_shape`` (``num_inputs``), or from the first batch.

    Parameters
    ----------
    dtype
        ``"float32"`` or ``"float64"``: of weights and of everything computed from them.
    seed
        Of initial weights, dropout and shuffling; None draws one.

    Raises
    ------
    ValueError
        The dtype is none of the two, or a layer does not fit (see `add`).
    """

    def __init__(
        self,
        layers: Iterable[Layer] = (),
        name: str = "sequential",
        *,
        dtype: str = "float32",
        seed: int | None = None,
    ) -> None:
        if dtype not in _DTYPES:
            raise ValueError(f"dtype: wants one of {', '.join(_DTYPES)}, found {dtype!r}")
        self.name = name
        self.dtype = dtype
        self.seed = seed
        self.layers: list[Layer] = []
        self._rng = np.random.default_rng(seed)
        for layer in layers:
            self.add(layer)

    def add(self, layer: Layer) -> None:
        """Append a layer; without a name it is called after its class ("dense", "dense_1", ...).

        Raises
        ------
        ValueError
            The name is taken, the layer must be the first, or it does not fit its input.
        TypeError
            Not a layer.
        """
        if not isinstance(layer, Layer):
            raise TypeError(f"add: wants a layer of this package, found {type(layer).__name__}")
        taken = {other.name for other in self.layers}
        if layer.name in taken or layer in self.layers:
            raise ValueError(f"add: a layer named {layer.name!r} is there already; rename one")
        if self.layers and layer.takes_indices:
            raise ValueError(f"{layer.class_name} {layer.name!r}: must be the first layer")
        if not layer.name:
            base = layer.default_name
            later = (f"{base}_{i}" for i in range(1, len(taken) + 1))
            layer.name = next(name for name in (base, *later) if name not in taken)
        self.layers.append(layer)
        shape = layer.given_input_shape
        if self.layers[0].built and layer is not self.layers[0]:
            shape = self._agreed(self.layers[-2], layer)
        if shape is not None and (layer is self.layers[0] or self.layers[0].built):
            layer.prepare(shape, self.dtype, self._rng)

    def build(self, input_shape: Shape) -> None:
        """Make the weights for samples of that shape; nothing if they are made already.

        Raises
        ------
        ValueError
            There is no layer, or a layer does not fit its input.
        """
        if not self.layers:
            raise ValueError(f"{self.name}: has no layers; add() some first")
        for i, layer in enumerate(self.layers):
            if not layer.built:
                shape = self._agreed(self.layers[i - 1], layer) if i else input_shape
                layer.prepare(shape, self.dtype, self._rng)

    def fit_input(self, x: Array) -> None:
        """Build the network for a batch, or check that the batch fits it.

        Raises
        ------
        ValueError
            The samples do not have the shape that the first layer wants.
        """
        self.build(x.shape[1:])
        first = self.layers[0]
        if x.shape[1:] != first.input_shape:
            raise ValueError(
                f"{first.name}: wants samples of shape {first.input_shape}, found {x.shape[1:]} "
                f"(x has shape {x.shape}); reshape x or change the layer's input_shape"
            )

    def outputs(self, x: Array, training: bool = False) -> Array:
        """What the last layer returns for a batch (N, *input_shape)."""
        with np.errstate(all="ignore"):
            return forward(self.layers, as_input(self.layers[0], x), training)

    @property
    def n_parameters(self) -> int:
        """Elements of all weights and states."""
        return sum(layer.n_parameters for layer in self.layers)

    def get_weights(self) -> list[Array]:
        """Copies of all weights and states, layer by layer, in Keras's order."""
        return [arrays[name].copy() for _, arrays, name in self._slots()]

    def set_weights(self, values: Sequence[ArrayLike]) -> None:
        """Replace all weights and states by copies of the values, in the order of `get_weights`.

        Raises
        ------
        ValueError
            Their number or a shape differs.
        """
        slots = list(self._slots())
        if len(values) != len(slots):
            raise ValueError(f"set_weights: wants {len(slots)} arrays, found {len(values)}")
        arrays = [np.array(value, dtype=self.dtype) for value in values]
        for (layer, old, name), new in zip(slots, arrays, strict=True):
            if new.shape != old[name].shape:
                raise ValueError(
                    f"set_weights: {layer.name}/{name} wants shape {old[name].shape}, "
                    f"found {new.shape}"
                )
        for (_, old, name), new in zip(slots, arrays, strict=True):
            old[name] = new

    def summary(self) -> None:
        """Print a table of the layers."""
        print(summary(self.name, self.layers))

    def _slots(self) -> Iterator[tuple[Layer, dict[str, Array], str]]:
        for layer in self.layers:
            for arrays in (layer.weights, layer.state):
                for name in arrays:
                    yield layer, arrays, name

    def _agreed(self, before: Layer, layer: Layer) -> Shape:
        wanted = layer.given_input_shape
        if wanted is not None and wanted != before.output_shape:
            raise ValueError(
                f"{layer.name}: wants samples of shape {wanted}, but {before.name} before it "
                f"returns {before.output_shape}; make the two agree"
            )
        return before.output_shape
