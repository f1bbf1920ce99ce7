"""The types that every module of the network speaks of."""

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
"""Any array; axis 0 is the batch wherever samples are meant."""

Shape = tuple[int, ...]
"""Shape of one sample, without the batch axis."""
