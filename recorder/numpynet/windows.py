"""Windows that slide over images: the geometry that convolution and pooling share.

Images are NHWC (samples, rows, columns, channels). Sizes and padding are TensorFlow's: with
``valid`` a window stays inside the image; with ``same`` there are ceil(n / stride) windows and
the padding that this needs is split evenly, the odd one at the end.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np

from .arrays import Array, Shape

Padding = Literal["same", "valid"]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Windows:
    """Window size, step and padding, each as (rows, columns)."""

    size: Pair
    strides: Pair
    padding: Padding

    def counts(self, shape: Shape) -> Pair:
        """Number of windows down and across an image of shape (H, W, C); below 1: none fits."""
        rows, columns = (
            -(-n // stride) if self.padding == "same" else (n - size) // stride + 1
            for n, size, stride in zip(shape[:2], self.size, self.strides, strict=True)
        )
        return rows, columns

    def margins(self, shape: Shape) -> tuple[Pair, Pair]:
        """Rows added (above, below) and columns added (left, right) to an image (H, W, C)."""
        if self.padding == "valid":
            return (0, 0), (0, 0)
        counts = self.counts(shape)
        missing = [
            max((count - 1) * stride + size - n, 0)
            for n, count, size, stride in zip(
                shape[:2], counts, self.size, self.strides, strict=True
            )
        ]
        above, left = missing[0] // 2, missing[1] // 2
        return (above, missing[0] - above), (left, missing[1] - left)

    def pad(self, x: Array, value: float) -> Array:
        """Images (N, H, W, C) with their margins filled; x itself where there are none."""
        rows, columns = self.margins(x.shape[1:])
        if not any(rows + columns):
            return x
        n, height, width, channels = x.shape
        padded = np.full(
            (n, sum(rows) + height, sum(columns) + width, channels), value, dtype=x.dtype
        )
        padded[:, rows[0] : rows[0] + height, columns[0] : columns[0] + width] = x
        return padded

    def unpad(self, padded: Array, shape: Shape) -> Array:
        """The images of shape (H, W, C) inside their margins: a view."""
        (above, _), (left, _) = self.margins(shape)
        return padded[:, above : above + shape[0], left : left + shape[1]]

    def view(self, padded: Array) -> Array:
        """Every window of padded images as (N, rows, columns, size, size, C): no copy."""
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.size, axis=(1, 2))
        down, across = self.strides
        return windows[:, ::down, ::across].transpose(0, 1, 2, 4, 5, 3)

    def offsets(self, padded: Array, counts: Pair) -> Iterator[Array]:
        """For each place in a window, row by row, that element of every window.

        Each item is a writable view (N, rows, columns, C) of ``padded``.
        """
        down, across = self.strides
        for i in range(self.size[0]):
            for j in range(self.size[1]):
                yield padded[
                    :,
                    i : i + (counts[0] - 1) * down + 1 : down,
                    j : j + (counts[1] - 1) * across + 1 : across,
                ]


def make_windows(size: int | Pair, strides: int | Pair, padding: str, layer: str) -> Windows:
    """Windows from the arguments of a layer, where one number stands for both directions.

    Raises
    ------
    ValueError
        A size or step is not a positive whole number, or the padding is unknown.
    """
    if padding not in ("same", "valid"):
        raise ValueError(f"{layer}: padding must be 'same' or 'valid', found {padding!r}")
    pairs = []
    for what, value in (("window size", size), ("strides", strides)):
        pair = (value, value) if isinstance(value, int) else tuple(value)
        if len(pair) != 2 or not all(isinstance(n, int) and n > 0 for n in pair):
            raise ValueError(f"{layer}: {what} must be one or two positive ints, found {value!r}")
        pairs.append(pair)
    return Windows(pairs[0], pairs[1], cast(Padding, padding))


def image_output(windows: Windows, shape: Shape, channels: int | None, layer: str) -> Shape:
    """Shape (rows, columns, channels) of what a layer of windows makes of an image.

    ``channels`` None keeps those of the image.

    Raises
    ------
    ValueError
        The shape is not an image's, or no window fits into it.
    """
    if len(shape) != 3:
        raise ValueError(
            f"{layer}: wants images of shape (rows, columns, channels), found {shape}; "
            "reshape the data, e.g. x[..., None] for one channel"
        )
    rows, columns = windows.counts(shape)
    if rows < 1 or columns < 1:
        raise ValueError(
            f"{layer}: windows of {windows.size} do not fit into images of shape {shape}; "
            "use padding='same' or smaller windows"
        )
    return rows, columns, shape[2] if channels is None else channels
