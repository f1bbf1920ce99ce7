"""The first batches of a training, kept in full so that they can be trained on again.

Only the first epoch counts: later ones show the same samples again. The weights of the first step
are those before its update. Its state is the one after it, which no step depends on (moving
averages) or none changes (what `Normalization` has adapted to).
"""

from collections.abc import Sequence

import numpy as np

from deeplocalize.traces.header import Opening
from deeplocalize.traces.interface import Tensor
from deeplocalize.traces.schema import Kind

from .step_values import StepValues

DEFAULT_BATCHES = 200
"""What ``replayable=True`` means: a few thousand samples, enough to train on and to judge by."""

MAX_BYTES = 64 << 20
"""A trace must not grow by a whole data set where samples are large."""

_BATCH = frozenset({Kind.INPUT, Kind.LABEL, Kind.SAMPLE_WEIGHT})
_MODEL = frozenset({Kind.WEIGHT, Kind.STATE})


class OpeningBatches:
    """Says which tensors of the steps that follow are to be kept.

    Parameters
    ----------
    opening
        Its limits. A batch that would go beyond them ends the opening.
    """

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._epoch: int | None = None
        self._n_bytes = 0
        self.n_batches = 0
        self.is_over = bool(opening.obstacle)

    @property
    def note(self) -> str:
        """What is to be said of it once it is over; mostly nothing."""
        if self.n_batches or self._opening.obstacle:
            return ""
        return (
            f"the weights and the first batch take more than {self._opening.max_bytes} bytes: "
            "they are not kept, and the training cannot be replayed"
        )

    def tensors(
        self,
        iteration: int,
        epoch: int,
        series: Sequence[int],
        kinds: Sequence[Kind],
        values: StepValues,
    ) -> list[Tensor]:
        """What to keep of the next step, in full; nothing once the opening is over."""
        self._epoch = epoch if self._epoch is None else self._epoch
        wanted = _BATCH if self.n_batches else _BATCH | _MODEL
        positions = [k for k, kind in enumerate(kinds) if kind in wanted]
        n_bytes = self._n_bytes + sum(values.tensors[k].nbytes for k in positions)
        self.is_over |= epoch != self._epoch or n_bytes > self._opening.max_bytes
        if self.is_over:
            return []
        self._n_bytes = n_bytes
        self.n_batches += 1
        self.is_over = self.n_batches == self._opening.max_batches
        # Copies: a view may keep all tensors of its step in memory until it is written.
        return [Tensor(iteration, series[k], np.array(values.tensors[k])) for k in positions]
