"""Where something happened: layer, tensor and moment, each with the phrase that names it."""

from dataclasses import dataclass

from deeplocalize.traces.header import Header, Layer
from deeplocalize.traces.schema import Kind

_PHRASES = {
    Kind.INPUT: "input{tensor}",
    Kind.LABEL: "label{tensor}",
    Kind.SAMPLE_WEIGHT: "sample weight{tensor}",
    Kind.WEIGHT: "weight{tensor}",
    Kind.PREACTIVATION: "pre-activation",
    Kind.OUTPUT: "output",
    Kind.LOSS: "loss",
    Kind.METRIC: "metric{tensor}",
    Kind.OUTPUT_GRADIENT: "gradient by the output",
    Kind.PREACTIVATION_GRADIENT: "gradient by the pre-activation",
    Kind.WEIGHT_GRADIENT: "gradient of weight{tensor}",
    Kind.WEIGHT_UPDATE: "update of weight{tensor}",
    Kind.STATE: "state{tensor}",
    Kind.REPLAY_ERROR: "error of the replay",
}


@dataclass(frozen=True)
class LayerRef:
    """A layer as a report names it: its index as the framework counts, its name and class.

    The model itself has index -1. ``within`` is the path of the layer that holds it, if one does.
    """

    index: int
    name: str
    class_name: str
    within: str = ""

    def __str__(self) -> str:
        number = f"layer {self.index}" if self.index >= 0 else "model"
        name = f"{self.within}/{self.name}" if self.within else self.name
        return f'{number} "{name}" ({self.class_name})'


@dataclass(frozen=True)
class Place:
    """One tensor of the training step. ``series`` indexes the header's series."""

    layer: LayerRef | None
    kind: Kind
    tensor: str
    call: int
    position: int
    series: int

    @property
    def noun(self) -> str:
        """The tensor without its layer."""
        noun = _PHRASES[self.kind].format(tensor=f' "{self.tensor}"' if self.tensor else "")
        return f"{noun} (call {self.call + 1})" if self.call else noun

    def __str__(self) -> str:
        return f"{self.noun} of {self.layer}" if self.layer else self.noun


@dataclass(frozen=True)
class Moment:
    """One iteration, with epoch and batch as the framework counts them, all from 0."""

    iteration: int
    epoch: int
    batch: int

    def __str__(self) -> str:
        return f"iteration {self.iteration} (epoch {self.epoch}, batch {self.batch})"


def layer_ref(layer: Layer) -> LayerRef:
    """How reports name a layer."""
    return LayerRef(layer.index, layer.name, layer.class_name, within=layer.path.rpartition("/")[0])


def place_of(header: Header, series: int) -> Place:
    """How reports name one of the header's series."""
    of = header.series[series]
    layer = header.layer_of(of)
    return Place(
        layer=layer_ref(layer) if layer else None,
        kind=of.kind,
        tensor=of.tensor,
        call=of.call,
        position=of.position,
        series=series,
    )
