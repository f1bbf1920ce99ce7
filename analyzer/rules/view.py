"""What a rule's condition sees: the statistics of its series, with everything joined on.

Joining belongs to ``watch.py``; a condition only compares arrays. All arrays have the shape
(rows, series) or broadcast to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplocalize.traces.schema import NONFINITE, Kind
from deeplocalize.traces.table import Table

Flags = NDArray[np.bool_]
Values = NDArray[np.float64]
Index = NDArray[np.intp]

# What rules look at, and therefore what a replay reads, beside the counts of what is not finite.
COLUMNS = ("n", "n_zero", "n_zero_units", "mean", "rms")


@dataclass(frozen=True, eq=False)
class View:
    """A chunk's statistics as one rule sees them.

    ``series`` are the rule's own series. ``companions`` give, per kind, the series of the same
    layer and tensor (-1: none). ``baseline_rms`` is each series' typical size at the head of
    the run, ``peak_rms`` the largest rms of a kind in each row, and ``layer_peaks`` that among
    the kernels (two axes or more) of each layer, all with loss scaling divided out. ``layers``
    says which of them is the series' own. ``n_units`` is the length of the last axis.
    """

    statistics: Table
    series: Index
    companions: Mapping[Kind, Index]
    baseline_rms: Values
    peak_rms: Mapping[Kind, Values]
    layers: Index
    layer_peaks: Mapping[Kind, Values]
    loss_scale: Values
    n_units: Values

    def __getitem__(self, column: str) -> NDArray[Any]:
        return self.statistics[column][:, self.series]

    def of(self, kind: Kind, column: str) -> Values:
        """A column of the companion of the given kind, NaN where there is none."""
        index = self.companions[kind]
        is_recorded = (index >= 0) & (self.statistics["n"][:, index] >= 0)
        values: Values = np.where(is_recorded, self.statistics[column][:, index], np.nan)
        return values

    def layer_peak_rms(self, kind: Kind) -> Values:
        """Largest rms of a kind among the kernels of the series' own layer."""
        peak: Values = self.layer_peaks[kind][:, self.layers]
        return peak

    @property
    def is_recorded(self) -> Flags:
        """Where the tensor was recorded and is not empty."""
        flags: Flags = self["n"] > 0
        return flags

    @property
    def n_nonfinite(self) -> NDArray[np.int64]:
        """Elements that are NaN or infinite; all 0 where the chunk was known to have none."""
        counts = np.zeros(self["n"].shape, dtype=np.int64)
        for name in NONFINITE:
            if name in self.statistics:
                counts += self[name]
        return counts

    @property
    def zero_fraction(self) -> Values:
        """Share of the elements that are exactly 0."""
        share: Values = self["n_zero"] / np.maximum(self["n"], 1)
        return share


def recorded(view: View) -> Flags:
    """Rows in which the tensor was recorded."""
    return view.is_recorded


def recorded_and_finite(view: View) -> Flags:
    """Rows in which the tensor was recorded and all its elements are finite."""
    if not any(name in view.statistics for name in NONFINITE):
        return view.is_recorded
    flags: Flags = view.is_recorded & (view.n_nonfinite == 0)
    return flags
