"""What a trace holds, declared once.

The HDF5 datasets, the Arrow schema, validation and ``docs/format.md`` all derive from the
tables below. Storage belongs to ``hdf5.py`` and ``parquet.py``; the header to ``header.py``.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

FORMAT_VERSION = 3

HISTORY: tuple[tuple[int, str], ...] = (
    (1, "header, iterations, statistics, tensors, events"),
    (
        2,
        "series that a replay of the step recorded, and the kind `replay_error` of its check; "
        "`opening` in the header",
    ),
    (3, "histograms"),
)


class Phase(StrEnum):
    """Where in one iteration a tensor comes into being, in execution order."""

    INPUT = "input"
    STATE = "state"
    FORWARD = "forward"
    LOSS = "loss"
    BACKWARD = "backward"
    UPDATE = "update"


class Kind(StrEnum):
    """Which tensor of a layer, of the batch or of the whole step a series follows."""

    INPUT = "input"
    LABEL = "label"
    SAMPLE_WEIGHT = "sample_weight"
    WEIGHT = "weight"
    PREACTIVATION = "preactivation"
    OUTPUT = "output"
    LOSS = "loss"
    METRIC = "metric"
    OUTPUT_GRADIENT = "output_gradient"
    PREACTIVATION_GRADIENT = "preactivation_gradient"
    WEIGHT_GRADIENT = "weight_gradient"
    WEIGHT_UPDATE = "weight_update"
    STATE = "state"
    REPLAY_ERROR = "replay_error"

    @property
    def phase(self) -> Phase:
        """The phase of an iteration in which tensors of this kind come into being."""
        return KINDS[self].phase

    @property
    def has_sample_axis(self) -> bool:
        """Whether the first axis of such tensors, where they have one, is that of the samples."""
        return KINDS[self].has_sample_axis


@dataclass(frozen=True)
class KindInfo:
    """Phase and meaning of a kind, and whether the first axis is that of the samples."""

    phase: Phase
    meaning: str
    has_sample_axis: bool = False


KINDS: dict[Kind, KindInfo] = {
    Kind.INPUT: KindInfo(Phase.INPUT, "x of the batch, one series per input", True),
    Kind.LABEL: KindInfo(Phase.INPUT, "y of the batch, one series per target", True),
    Kind.SAMPLE_WEIGHT: KindInfo(Phase.INPUT, "sample weights of the batch", True),
    Kind.WEIGHT: KindInfo(Phase.STATE, "weight as the forward pass uses it, before the update"),
    Kind.PREACTIVATION: KindInfo(
        Phase.FORWARD, "what a layer's built-in activation receives", True
    ),
    Kind.OUTPUT: KindInfo(Phase.FORWARD, "what a layer returns (its activation)", True),
    Kind.LOSS: KindInfo(Phase.LOSS, "loss of this batch alone, before any loss scaling"),
    Kind.METRIC: KindInfo(Phase.LOSS, "metric as the framework reports it after the batch"),
    Kind.OUTPUT_GRADIENT: KindInfo(Phase.BACKWARD, "gradient of the loss by the output", True),
    Kind.PREACTIVATION_GRADIENT: KindInfo(
        Phase.BACKWARD, "gradient of the loss by the preactivation", True
    ),
    Kind.WEIGHT_GRADIENT: KindInfo(
        Phase.BACKWARD, "gradient of the loss by a weight, as handed to the optimizer"
    ),
    Kind.WEIGHT_UPDATE: KindInfo(Phase.UPDATE, "weight after the step minus weight before it"),
    Kind.STATE: KindInfo(Phase.UPDATE, "non-trainable state of a layer after the step"),
    Kind.REPLAY_ERROR: KindInfo(
        Phase.UPDATE,
        "in how many elements a replay differs from the step, per tensor compared; all 0: what "
        "was replayed of this layer (of all layers, where it has none) is exact",
    ),
}


@dataclass(frozen=True)
class Column:
    """One column of a table.

    ``dtype`` is a NumPy dtype name, or ``"json"`` for a JSON value and ``"bytes"`` for raw
    bytes. ``missing`` is the value that stands for "not recorded" (``None``: always there).
    """

    name: str
    dtype: str
    unit: str
    meaning: str
    missing: int | float | None = None

    @property
    def numpy_dtype(self) -> np.dtype[np.generic]:
        """The NumPy dtype of a numeric column; TypeError for ``json`` and ``bytes``."""
        return np.dtype(self.dtype)


class EventName(StrEnum):
    """What an event tells of."""

    BEGIN = "begin"
    EPOCH = "epoch"
    NOTE = "note"
    ANOMALY = "anomaly"
    LIMIT = "limit"
    END = "end"


class RunStatus(StrEnum):
    """How a run ended: ``status`` in the details of its `EventName.END`."""

    COMPLETED = "completed"
    STOPPED = "stopped"
    EXCEPTION = "exception"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


NAN = float("nan")

ITERATIONS: tuple[Column, ...] = (
    Column("iteration", "int64", "steps", "global training step, from 0"),
    Column("epoch", "int64", "epochs", "epoch as the framework counts it, from 0"),
    Column("batch", "int64", "steps", "batch within the epoch, from 0"),
    Column("n_samples", "int64", "samples", "size of this batch", -1),
    Column("loss", "float64", "loss", "loss of this batch alone (NaN also if not recorded)", NAN),
    Column("learning_rate", "float64", "1", "learning rate of the first optimizer", NAN),
    Column("loss_scale", "float64", "1", "factor of mixed-precision loss scaling, else 1", 1.0),
    Column(
        "n_nonfinite_series",
        "int64",
        "series",
        "recorded series with a NaN or Inf in this iteration",
    ),
    Column("time_s", "float64", "s", "end of the iteration, since training began"),
)

STATISTICS: tuple[Column, ...] = (
    Column("n", "int64", "elements", "elements of the tensor", -1),
    Column("n_nan", "int64", "elements", "elements that are NaN", 0),
    Column("n_posinf", "int64", "elements", "elements that are +Inf", 0),
    Column("n_neginf", "int64", "elements", "elements that are -Inf", 0),
    Column("n_zero", "int64", "elements", "elements that are exactly 0", 0),
    Column("n_zero_units", "int64", "units", "units (last axis) that are 0 in the whole batch", -1),
    Column("n_constant_units", "int64", "units", "units that are the same in the whole batch", -1),
    Column("min", "float64", "value", "smallest finite value", NAN),
    Column("max", "float64", "value", "largest finite value", NAN),
    Column("mean", "float64", "value", "mean of the finite values", NAN),
    Column("mean_abs", "float64", "value", "mean magnitude of the finite values", NAN),
    Column("rms", "float64", "value", "root of the mean square of the finite values", NAN),
    Column("checksum", "uint64", "bits", "order-independent checksum of the raw bits", 0),
)

# The columns of STATISTICS that count what is not finite.
NONFINITE = ("n_nan", "n_posinf", "n_neginf")

TENSORS: tuple[Column, ...] = (
    Column("iteration", "int64", "steps", "global training step"),
    Column("series", "int64", "index", "index into the header's series"),
    Column("dtype", "json", "", "NumPy dtype name of the values"),
    Column("shape", "json", "", "list of the axes' lengths"),
    Column("data", "bytes", "", "the values, little-endian, in C order"),
)

EVENTS: tuple[Column, ...] = (
    Column("iteration", "int64", "steps", "global training step at which it happened, or -1", -1),
    Column("time_s", "float64", "s", "since training began"),
    Column("name", "json", "", f"what happened: {', '.join(EventName)}"),
    Column("message", "json", "", "one sentence for a person"),
    Column("details", "json", "", "an object of further facts"),
)

HISTOGRAMS: tuple[Column, ...] = (
    Column("iteration", "int64", "steps", "global training step"),
    Column("series", "int64", "index", "index into the header's series"),
    Column("first_exponent", "int64", "1", "of the first bin: it holds 2**(e-1) <= |x| < 2**e"),
    Column("negative", "json", "elements", "elements below 0 per exponent, a list of counts"),
    Column("positive", "json", "elements", "elements above 0 per exponent, of the same length"),
    Column("n_zero", "int64", "elements", "elements that are exactly 0"),
    Column("n_nan", "int64", "elements", "elements that are NaN"),
    Column("n_posinf", "int64", "elements", "elements that are +Inf"),
    Column("n_neginf", "int64", "elements", "elements that are -Inf"),
)

TABLES: dict[str, tuple[Column, ...]] = {
    "iterations": ITERATIONS,
    "statistics": STATISTICS,
    "tensors": TENSORS,
    "histograms": HISTOGRAMS,
    "events": EVENTS,
}
