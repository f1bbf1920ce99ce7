"""What a run was: model, configuration, data and the series its trace follows.

The header is one JSON document. It is written when the first iteration is recorded and may be
written again (more series seen, data summary complete); the last one counts.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from .errors import TraceFormatError, TraceVersionError
from .schema import FORMAT_VERSION, Kind
from .seal import to_json


@dataclass(frozen=True)
class Layer:
    """One layer of the model.

    ``index`` counts as the framework counts ``model.layers``; a layer nested inside another
    has the index of the top-level layer that holds it. ``order`` is the place of its first
    call in the forward pass. ``path`` is unique.
    """

    index: int
    name: str
    path: str
    class_name: str
    order: int
    activation: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    input_shapes: tuple[tuple[int | None, ...], ...] = ()
    output_shapes: tuple[tuple[int | None, ...], ...] = ()
    dtype: str = "float32"
    trainable: bool = True
    n_parameters: int = 0
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
    position: int
    layer: int | None = None
    call: int = 0
    tensor: str = ""
    shape: tuple[int | None, ...] = ()
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

    n: int
    n_rows: int
    n_constant: int = 0
    constant: tuple[int, ...] = ()
    mean_variance: float | None = None
    largest: int | None = None
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
    shape: tuple[int | None, ...]
    dtype: str
    n_samples: int = 0
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    std: float | None = None
    n_nonfinite: int = 0
    is_integer_valued: bool | None = None
    is_one_hot: bool | None = None
    n_distinct: int | None = None
    class_counts: Mapping[str, int] = field(default_factory=dict)
    features: FeatureSummary | None = None


@dataclass(frozen=True)
class Unrecorded:
    """A tensor that exists in the step but not in the trace, and why."""

    kind: Kind
    layer: int | None
    reason: str


@dataclass(frozen=True)
class Opening:
    """What a trace keeps of a run's first batches, so that they can be trained on again.

    Of the iterations of the first epoch, at most ``max_batches`` and ``max_bytes``, the input,
    label and sample weight are stored in full, and in the first of them also every weight and
    state. ``obstacle`` says why the training cannot be repeated all the same; empty if it can.
    """

    max_batches: int
    max_bytes: int
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
    n_epochs: int | None = None
    steps_per_epoch: int | None = None
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


def header_from_json(text: str, source: str) -> Header:
    """Read what `Header.to_json` wrote; raises as `header_from_document` does."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise TraceFormatError(f"{source}: no trace header, not even JSON ({error})") from error
    return header_from_document(document, source)


def header_from_document(document: Mapping[str, Any], source: str) -> Header:
    """Build a header from its parsed JSON.

    Unknown fields are ignored, so that later minor additions do not break this release.

    Raises
    ------
    TraceVersionError
        The format version is newer than this release reads.
    TraceFormatError
        Not a header, or a damaged one.
    """
    try:
        check_version(document["format_version"], source)
    except (TypeError, KeyError) as error:
        raise TraceFormatError(f"{source}: not a trace header, it has no version") from error
    try:
        values = _known(Header, document)
        values["layers"] = tuple(Layer(**_known(Layer, row)) for row in document.get("layers", ()))
        values["series"] = tuple(_series(row) for row in document.get("series", ()))
        values["data"] = tuple(_data(row) for row in document.get("data", ()))
        values["unrecorded"] = tuple(
            Unrecorded(**{**_known(Unrecorded, row), "kind": Kind(row["kind"])})
            for row in document.get("unrecorded", ())
        )
        if values.get("opening") is not None:
            values["opening"] = Opening(**_known(Opening, document["opening"]))
        header = Header(**values)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TraceFormatError(f"{source}: the trace header is damaged ({error})") from error
    for series in header.series:
        if series.layer is not None and not 0 <= series.layer < len(header.layers):
            raise TraceFormatError(f"{source}: a series names layer {series.layer}, unknown")
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
    if not isinstance(version, int) or version < 1:
        raise TraceFormatError(f"{source}: impossible format version {version!r}")
    if version > FORMAT_VERSION:
        raise TraceVersionError(
            f"{source}: format version {version}, this release reads 1 to {FORMAT_VERSION}; "
            "upgrade deeplocalize"
        )


def _series(row: Mapping[str, Any]) -> Series:
    return Series(**{**_known(Series, row), "kind": Kind(row["kind"])})


def _data(row: Mapping[str, Any]) -> DataSummary:
    features = row.get("features")
    told = FeatureSummary(**_known(FeatureSummary, features)) if features else None
    return DataSummary(**{**_known(DataSummary, row), "role": Kind(row["role"]), "features": told})


def _known(cls: type, row: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a JSON object that are fields of the dataclass, lists made tuples."""
    names = {f.name for f in fields(cls)}
    return {key: _tuples(value) for key, value in row.items() if key in names}


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
