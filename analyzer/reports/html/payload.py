"""The numbers behind the report's plots, small enough to travel inside the page.

Every number is rounded to a bfloat16 (three significant digits, the range of float32), and
all of them together are compressed; the page's script takes them apart again.
"""

import base64
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplocalize.traces.plots.overview import FIELDS, Overview

_LARGEST_BFLOAT16 = float.fromhex("0x1.fep+127")


@dataclass(frozen=True)
class Payload:
    """``numbers`` is base64 of gzip; each view says where in them its fields begin."""

    views: list[dict[str, Any]]
    numbers: str


def pack(overviews: Sequence[tuple[str, Overview]]) -> Payload:
    """Pack named overviews.

    A view's fields stand one after the other, in the order of `FIELDS`, each of shape
    (series, columns) in C order, so that one series is one slice.
    """
    views: list[dict[str, Any]] = []
    parts: list[NDArray[np.uint16]] = []
    offset = 0
    for name, overview in overviews:
        views.append(
            {
                "name": name,
                "first": overview.first,
                "width": overview.width,
                "n_columns": overview.n_columns,
                "offset": offset,
                "fields": FIELDS,
            }
        )
        for field in FIELDS:
            part = bfloat16(getattr(overview, field).T)
            parts.append(part)
            offset += len(part)
    # Low and high bytes apart compress better: signs and exponents repeat.
    data = np.concatenate(parts) if parts else np.zeros(0, np.uint16)
    planes = np.concatenate(((data & 0xFF).astype(np.uint8), (data >> 8).astype(np.uint8)))
    packed = gzip.compress(planes.tobytes(), compresslevel=6, mtime=0)
    return Payload(views, base64.b64encode(packed).decode("ascii"))


def bfloat16(values: NDArray[np.float64]) -> NDArray[np.uint16]:
    """The values as bits of bfloat16, flattened in C order, rounded to nearest.

    NaN stays NaN, and no finite value becomes infinite.
    """
    clipped = np.clip(values, -_LARGEST_BFLOAT16, _LARGEST_BFLOAT16).astype(np.float32)
    bits = clipped.ravel().view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(clipped.ravel()), 0x7FC0, rounded).astype(np.uint16)
