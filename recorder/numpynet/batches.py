"""Data for training: checked arrays that are split, shuffled and cut into batches."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Array


@dataclass(frozen=True)
class Data:
    """Inputs, labels and sample weights of the same number of samples."""

    x: Array
    y: Array
    sample_weight: Array | None = None

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, part: slice | Array) -> "Data":
        weight = None if self.sample_weight is None else self.sample_weight[part]
        return Data(self.x[part], self.y[part], weight)

    def n_batches(self, size: int) -> int:
        """Number of batches of ``size`` samples, the last may be smaller.

        Raises
        ------
        ValueError
            The size is not a positive whole number.
        """
        if not isinstance(size, int) or size < 1:
            raise ValueError(f"batch_size: wants a positive whole number, found {size!r}")
        return -(-len(self) // size)

    def batches(self, size: int, rng: np.random.Generator | None = None) -> Iterator["Data"]:
        """Batches of ``size`` samples, the last may be smaller; shuffled by ``rng`` if given."""
        order = None if rng is None else rng.permutation(len(self))
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield self[part] if order is None else self[order[part]]

    def split(self, fraction: float) -> tuple["Data", "Data"]:
        """The first samples for training and the last ``fraction`` of them for validation.

        Raises
        ------
        ValueError
            One of the two would be empty.
        """
        n_training = int(len(self) * (1 - fraction))
        if not 0 < n_training < len(self):
            raise ValueError(
                f"validation_split={fraction}: leaves {n_training} of {len(self)} samples for "
                "training; both parts need at least one"
            )
        return self[:n_training], self[n_training:]


def as_array(values: ArrayLike, dtype: str) -> Array:
    """Floats as the network's dtype, whole numbers and booleans as they are (as Keras)."""
    array = np.asarray(values)
    return array.astype(dtype, copy=False) if array.dtype.kind == "f" else array


def make_data(
    x: ArrayLike,
    y: ArrayLike,
    dtype: str,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[int, float] | None = None,
) -> Data:
    """Data of arrays with equal lengths.

    ``class_weight`` becomes a sample weight: that of the label's class (of the largest label for
    one-hot ones), 1 for classes without one.

    Raises
    ------
    ValueError
        Lengths differ, there is no sample, or both kinds of weights are given.
    """
    if sample_weight is not None and class_weight is not None:
        raise ValueError("sample_weight and class_weight: wants at most one, found both")
    data = Data(as_array(x, dtype), as_array(y, dtype))
    if class_weight is not None:
        sample_weight = _weights_of_classes(data.y, class_weight)
    if sample_weight is not None:
        data = Data(data.x, data.y, np.asarray(sample_weight, dtype=dtype))
    for name, array in (("x", data.x), ("y", data.y), ("sample_weight", data.sample_weight)):
        if array is not None and (array.ndim == 0 or len(array) != len(data.x) or not len(array)):
            raise ValueError(
                f"{name}: wants as many samples as x, at least one; found shape {array.shape} "
                f"where x has {data.x.shape}"
            )
    return data


def _weights_of_classes(y: Array, class_weight: Mapping[int, float]) -> Array:
    if y.ndim > 1:
        y = y[..., 0] if y.shape[-1] == 1 else y.argmax(axis=-1)
    return np.array([class_weight.get(int(number), 1.0) for number in np.round(y)])
