"""What a trace holds of a training that can be repeated: model, settings, weights, batches."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplocalize.traces.header import Header
from deeplocalize.traces.interface import TensorEntry, TraceReader
from deeplocalize.traces.schema import Kind

from . import safety
from .configuration import without_shapes
from .obstacle import ObstacleError

# Longer runs are repeated up to here: faults that keep a network from learning show by then.
MAX_STEPS = 2000

_BATCH = (Kind.INPUT, Kind.LABEL, Kind.SAMPLE_WEIGHT)


@dataclass(frozen=True)
class Setup:
    """A training as data: what `keras_training` makes and trains.

    Attributes
    ----------
    model_class, config
        ``Sequential`` or ``Functional``, and its ``get_config()``.
    loss, optimizer
        A name, or class name and config.
    redrawn
        Names of layers that begin with weights of their own instead of the recorded ones.
    scales_inputs, scales_targets
        Whether features are brought to mean 0 and variance 1 by those of the training samples.
    indexes_classes
        Whether labels are replaced by their place among the distinct labels.
    drops_nonfinite
        Whether samples with NaN or infinities are left out of the training.
    """

    model_class: str
    config: Mapping[str, Any]
    loss: Any
    optimizer: Mapping[str, Any]
    n_steps: int
    redrawn: frozenset[str] = frozenset()
    scales_inputs: bool = False
    scales_targets: bool = False
    indexes_classes: bool = False
    drops_nonfinite: bool = False

    @property
    def loss_name(self) -> str:
        """The loss's name as Keras spells its function."""
        return self.loss if isinstance(self.loss, str) else str(self._loss_config.get("name", ""))

    @property
    def is_from_logits(self) -> bool:
        """Whether the loss takes the model's output for logits."""
        return bool(self._loss_config.get("from_logits"))

    @property
    def _loss_config(self) -> Mapping[str, Any]:
        config = None if isinstance(self.loss, str) else self.loss.get("config")
        return config if isinstance(config, Mapping) else {}


@dataclass(frozen=True, eq=False)
class Weight:
    """A recorded weight or state before the first step: its layer's path, its name, its values."""

    path: str
    name: str
    values: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs, labels and sample weights (None: none), with the same length."""

    x: NDArray[Any]
    y: NDArray[Any]
    weight: NDArray[Any] | None

    def __len__(self) -> int:
        return len(self.x)

    def at(self, rows: NDArray[Any]) -> "Samples":
        """Some of them."""
        weight = None if self.weight is None else self.weight[rows]
        return Samples(self.x[rows], self.y[rows], weight)

    @property
    def is_finite(self) -> NDArray[np.bool_]:
        """Which samples have no NaN and no infinity anywhere."""
        return _finite_rows(self.x) & _finite_rows(self.y)


@dataclass(frozen=True, eq=False)
class Recipe:
    """Everything that a replay takes."""

    setup: Setup
    weights: tuple[Weight, ...]
    samples: Samples
    batch_size: int


def recipe_of(reader: TraceReader) -> Recipe:
    """Read what a replay takes.

    Raises
    ------
    ObstacleError
        The trace does not hold it, or it is nothing that may be made from a file.
    TraceError
        The trace cannot be read.
    """
    header = reader.header
    if header.opening is None:
        raise ObstacleError("the trace was not recorded with Recorder(..., replayable=True)")
    if header.opening.obstacle:
        raise ObstacleError(f"the training cannot be repeated: {header.opening.obstacle}")
    setup = _setup(header, reader.n_iterations)
    entries = _opening_entries(reader)
    batches = _batches(reader, entries)
    return Recipe(
        setup=setup,
        weights=tuple(_weights(reader, entries)),
        samples=_distinct(_joined(batches)),
        batch_size=len(batches[0].x),
    )


def _setup(header: Header, n_iterations: int) -> Setup:
    if header.model_class not in ("Sequential", "Functional"):
        raise ObstacleError(f"{header.model_class} is a model class of its own")
    if not isinstance(header.model_config, Mapping) or not isinstance(header.optimizer, Mapping):
        raise ObstacleError("the trace has no configuration of the model or of its optimizer")
    is_named = isinstance(header.loss, str)
    if not is_named and not (isinstance(header.loss, Mapping) and "class_name" in header.loss):
        raise ObstacleError("the training has no loss, or several")
    safety.check((header.model_config, header.loss, header.optimizer))
    return Setup(
        header.model_class,
        without_shapes(header.model_config),
        header.loss,
        header.optimizer,
        n_steps=min(n_iterations, MAX_STEPS),
    )


def _opening_entries(reader: TraceReader) -> dict[int, dict[int, TensorEntry]]:
    """By iteration and series: every batch up to the first that is missing."""
    header, found = reader.header, dict[int, dict[int, TensorEntry]]()
    limit = header.opening.max_batches if header.opening else 0
    # A training that goes on from another counts on from there.
    first = int(reader.iterations(0, 1)["iteration"][0]) if reader.n_iterations else 0
    for entry in reader.tensor_entries():
        if 0 <= entry.iteration - first < limit and 0 <= entry.series < len(header.series):
            found.setdefault(entry.iteration, {})[entry.series] = entry
    kept: dict[int, dict[int, TensorEntry]] = {}
    for iteration in range(first, first + limit):
        kinds = [header.series[series].kind for series in found.get(iteration, ())]
        if Kind.INPUT not in kinds or Kind.LABEL not in kinds:
            break
        if kinds.count(Kind.INPUT) > 1 or kinds.count(Kind.LABEL) > 1:
            raise ObstacleError("the model has several inputs or several outputs")
        kept[iteration] = found[iteration]
    if not kept:
        raise ObstacleError("the trace holds no batch in full")
    return kept


def _batches(
    reader: TraceReader, entries: Mapping[int, Mapping[int, TensorEntry]]
) -> list[Samples]:
    batches = []
    for of_iteration in entries.values():
        by_kind = {
            reader.header.series[series].kind: entry for series, entry in of_iteration.items()
        }
        x, y, weight = (
            reader.read_tensor(by_kind[kind]) if kind in by_kind else None for kind in _BATCH
        )
        if x is None or y is None or x.ndim == 0 or y.ndim == 0 or not 0 < len(x) == len(y):
            raise ObstacleError("inputs and labels of a recorded batch do not fit together")
        batches.append(Samples(x, y, weight))
    return batches


def _joined(batches: list[Samples]) -> Samples:
    shapes = {(b.x.shape[1:], b.y.shape[1:], b.weight is None) for b in batches}
    if len(shapes) > 1:
        raise ObstacleError("the recorded batches have different shapes")
    weights = [b.weight for b in batches if b.weight is not None]
    return Samples(
        np.concatenate([b.x for b in batches]),
        np.concatenate([b.y for b in batches]),
        np.concatenate(weights) if weights else None,
    )


def _distinct(samples: Samples) -> Samples:
    """Each sample once: what is trained on must not be among what is judged by."""
    rows: dict[tuple[bytes, bytes], int] = {}
    for i in range(len(samples)):
        rows.setdefault((samples.x[i].tobytes(), samples.y[i].tobytes()), i)
    return samples.at(np.array(list(rows.values()), np.intp))


def _weights(reader: TraceReader, entries: Mapping[int, Mapping[int, TensorEntry]]) -> list[Weight]:
    header, found = reader.header, []
    for series, entry in next(iter(entries.values())).items():
        facts = header.series[series]
        layer = header.layer_of(facts)
        if facts.kind in (Kind.WEIGHT, Kind.STATE) and layer is not None:
            found.append(Weight(layer.path, facts.tensor, reader.read_tensor(entry)))
    return found


def _finite_rows(values: NDArray[Any]) -> NDArray[np.bool_]:
    flat = values.reshape(len(values), -1)
    return np.asarray(np.isfinite(flat).all(axis=1))
