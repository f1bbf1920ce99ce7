"""What a run was: model, configuration, data and the series its trace follows.

The header is one JSON document. It is written when the first iteration is recorded and may be
written again (more series seen, data summary complete); the last one counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from .document import AtLeast, Count, from_document
from .errors import TraceFieldError, TraceFormatError, TraceVersionError
from .schema import FORMAT_VERSION, Kind
from .seal import to_json

Shape = tuple[Count | None, ...]


@dataclass(frozen=True)
class Layer:
    """One layer of the model.

    ``index`` counts as the framework counts ``model.layers``; a layer nested inside another
    has the index of the top-level layer that holds it. ``order`` is the place of its first
    call in the forward pass. ``path`` is unique.
    """

    index: Annotated[int, AtLeast(-1)]
    name: str
    path: str
    class_name: str
    order: Count
    activation: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    input_shapes: tuple[Shape, ...] = ()
    output_shapes: tuple[Shape, ...] = ()
    dtype: str = "float32"
    trainable: bool = True
    n_parameters: Count = 0
    inbound: tuple[str, ...] = ()


@dataclass(frozen=True)
class Series:
    """One tensor of the training step, followed over the iterations.

    ``layer`` indexes ``Header.layers`` (None: belongs to the batch or the step). ``call``
    counts the calls of a shared layer. ``tensor`` is the weight's, input's or metric's name.
    ``position`` is the place in the execution order of one iteration. Axes that vary have
    length None. ``replayed``: the values come from a replay of the step in some iterations, and
    are certain in those in which the series of kind ``replay_error``, of the same layer and of
    the step as a whole, are 0 throughout.
    """

    kind: Kind
    position: Count
    layer: Count | None = None
    call: Count = 0
    tensor: str = ""
    shape: Shape = ()
    dtype: str = "float32"
    replayed: bool = False


@dataclass(frozen=True)
class FeatureSummary:
    """What the ``n`` columns of an input or target looked like, each by itself.

    Columns are the last axis, looked at over ``n_rows`` rows of finite values. ``constant`` names
    the first few of the ``n_constant`` ones that had one value throughout; ``largest`` is the one
    of the largest rms among those that vary (None: none), ``median_rms`` the median of theirs.
    ``mean_variance`` is that of the columns around their own means.
    """

    n: Count
    n_rows: Count
    n_constant: Count = 0
    constant: tuple[Count, ...] = ()
    mean_variance: float | None = None
    largest: Count | None = None
    median_rms: float | None = None
    largest_rms: float | None = None


@dataclass(frozen=True)
class DataSummary:
    """What one input or target looked like over the batches seen so far.

    Ranges and moments are over finite values. ``n_distinct`` counts distinct values up to a
    bound (None: more than that); ``class_counts`` counts integer or one-hot classes.
    ``features`` tells columns apart (None: images, a single column, or not told).
    """

    role: Kind
    name: str
    shape: Shape
    dtype: str
    n_samples: Count = 0
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    std: float | None = None
    n_nonfinite: Count = 0
    is_integer_valued: bool | None = None
    is_one_hot: bool | None = None
    n_distinct: Count | None = None
    class_counts: Mapping[str, Count] = field(default_factory=dict)
    features: FeatureSummary | None = None


@dataclass(frozen=True)
class Unrecorded:
    """A tensor that exists in the step but not in the trace, and why."""

    kind: Kind
    layer: Count | None
    reason: str


@dataclass(frozen=True)
class Opening:
    """What a trace keeps of a run's first batches, so that they can be trained on again.

    Of the iterations of the first epoch, at most ``max_batches`` and ``max_bytes``, the input,
    label and sample weight are stored in full, and in the first of them also every weight and
    state. ``obstacle`` says why the training cannot be repeated all the same; empty if it can.
    """

    max_batches: Count
    max_bytes: Count
    obstacle: str = ""


@dataclass(frozen=True)
class Header:
    """The facts about a run that do not change from one iteration to the next.

    ``continues`` is the path of the trace that this one goes on from, in the numbers of its
    iterations too. ``n_updates_before`` counts the steps that the optimizer had taken before the
    first iteration.
    """

    created: str = ""
    deeplocalize_version: str = ""
    framework: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    execution: str = ""
    model_name: str = ""
    model_class: str = ""
    model_config: Mapping[str, Any] | None = None
    loss: Any = None
    optimizer: Mapping[str, Any] | None = None
    metrics: tuple[str, ...] = ()
    n_epochs: Count | None = None
    steps_per_epoch: Count | None = None
    seed: int | None = None
    schedule: Mapping[str, Any] = field(default_factory=dict)
    continues: str | None = None
    n_updates_before: int = 0
    layers: tuple[Layer, ...] = ()
    series: tuple[Series, ...] = ()
    data: tuple[DataSummary, ...] = ()
    unrecorded: tuple[Unrecorded, ...] = ()
    opening: Opening | None = None

    @property
    def is_resumed(self) -> bool:
        """Whether the weights had been trained before the first iteration."""
        return self.continues is not None or self.n_updates_before > 0

    def with_series(self, series: tuple[Series, ...]) -> "Header":
        """The header with further series at the end (indices already given stay valid)."""
        return replace(self, series=self.series + series)

    def layer_of(self, series: Series) -> Layer | None:
        """The layer that a series belongs to, or None for those of the batch or the step."""
        return None if series.layer is None else self.layers[series.layer]

    def to_json(self) -> str:
        """One line of JSON, with the format version in front."""
        return to_json({"format_version": FORMAT_VERSION, **vars(self)})


def header_from_document(document: Mapping[str, Any], source: str) -> Header:
    """Build a header from its parsed JSON.

    Unknown fields are ignored, so that later minor additions do not break this release.

    Raises
    ------
    TraceVersionError
        The format version is newer than this release reads.
    TraceFieldError
        A field is missing or of another type.
    TraceFormatError
        Not a header, or a damaged one.
    """
    try:
        check_version(document["format_version"], source)
    except (TypeError, KeyError) as error:
        raise TraceFormatError(f"{source}: not a trace header, it has no version") from error
    header = from_document(Header, document, f"{source}: header")
    n_layers = len(header.layers)
    named = {one.layer for one in header.series} | {one.layer for one in header.unrecorded}
    unknown = sorted(layer for layer in named if layer is not None and layer >= n_layers)
    if unknown:
        raise TraceFieldError(
            f"{source}: header: series of layer {unknown[0]}, but there are {n_layers} layers"
        )
    return header


def check_version(version: object, source: str) -> None:
    """Refuse a format version that this release does not read.

    Raises
    ------
    TraceVersionError
        It is newer.
    TraceFormatError
        It is no version at all.
    """
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise TraceFormatError(f"{source}: impossible format version {version!r}")
    if version > FORMAT_VERSION:
        raise TraceVersionError(
            f"{source}: format version {version}, this release reads 1 to {FORMAT_VERSION}; "
            "upgrade deeplocalize"
        )
