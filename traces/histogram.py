"""How the elements of a tensor spread over the powers of two.

An element ``x = m * 2**exponent`` with ``0.5 <= |m| < 1`` (as ``numpy.frexp`` has it) counts for
its exponent, positive and negative ones apart; zeros and what is not finite are counted apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

from .document import Count
from .schema import HISTOGRAMS


@dataclass(frozen=True)
class Histogram:
    """Counts of one tensor in one iteration.

    ``positive[i]`` and ``negative[i]`` count elements of exponent ``first_exponent + i``; both are
    of the same length, 0 where no element is finite and other than zero.
    """

    iteration: Count
    series: Count
    first_exponent: int = 0
    negative: tuple[Count, ...] = ()
    positive: tuple[Count, ...] = ()
    n_zero: Count = 0
    n_nan: Count = 0
    n_posinf: Count = 0
    n_neginf: Count = 0

    @property
    def n(self) -> int:
        """Elements of the tensor."""
        others = self.n_zero + self.n_nan + self.n_posinf + self.n_neginf
        return sum(self.negative) + sum(self.positive) + others


assert [field.name for field in fields(Histogram)] == [column.name for column in HISTOGRAMS]


class Bin(NamedTuple):
    """Elements from ``low`` to ``high``; ``exponent`` is NaN for zeros and what is not finite.

    ``sign`` is -1, 0 or 1, or NaN for the count of NaN. Powers of two beyond float64 are infinite.
    """

    sign: float
    exponent: float
    low: float
    high: float
    n: int


def bins(histogram: Histogram) -> list[Bin]:
    """The bins that hold something, from the lowest values to the highest, then NaN."""
    nan, inf = float("nan"), float("inf")
    exponents = range(histogram.first_exponent, histogram.first_exponent + len(histogram.positive))
    found = [Bin(-1, nan, -inf, -inf, histogram.n_neginf)]
    for exponent, n in reversed(list(zip(exponents, histogram.negative, strict=True))):
        found.append(Bin(-1, exponent, -_power(exponent), -_power(exponent - 1), n))
    found.append(Bin(0, nan, 0.0, 0.0, histogram.n_zero))
    for exponent, n in zip(exponents, histogram.positive, strict=True):
        found.append(Bin(1, exponent, _power(exponent - 1), _power(exponent), n))
    found += [Bin(1, nan, inf, inf, histogram.n_posinf), Bin(nan, nan, nan, nan, histogram.n_nan)]
    return [one for one in found if one.n]


def check_lengths(histograms: Sequence[Histogram]) -> None:
    """ValueError where positive and negative elements have different bins."""
    for one in histograms:
        if len(one.positive) != len(one.negative):
            raise ValueError(f"a histogram of {len(one.negative)} and {len(one.positive)} bins")


def _power(exponent: int) -> float:
    return float("inf") if exponent > 1023 else 2.0**exponent
