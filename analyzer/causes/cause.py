"""What a cause is, what it is inferred from, and the suspect that comes out."""

from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum

from deeplocalize.traces.header import Header, Layer

from ..chain import Growth
from ..checks import Facts
from ..findings import Finding
from ..localization import FirstFault
from ..outlier import Outlier
from ..places import LayerRef, layer_ref
from ..rules.rule import Symptom
from ..trial import Trial


class Cause(StrEnum):
    """What can be wrong in a program; the closed list of the JSON contract."""

    OUTPUT_ACTIVATION = "output_activation"
    HIDDEN_ACTIVATION = "hidden_activation"
    LOSS_FUNCTION = "loss_function"
    ACTIVATION_LOSS_MISMATCH = "activation_loss_mismatch"
    LEARNING_RATE = "learning_rate"
    OPTIMIZER = "optimizer"
    WEIGHT_INITIALIZATION = "weight_initialization"
    INPUT_SCALE = "input_scale"
    INPUT_VALUES = "input_values"
    LABEL_ENCODING = "label_encoding"
    OUTPUT_SHAPE = "output_shape"
    MISSING_LAYER = "missing_layer"
    EXTRA_LAYER = "extra_layer"
    EPOCHS_OR_BATCH_SIZE = "epochs_or_batch_size"
    NUMERICAL_INSTABILITY = "numerical_instability"
    DATA_OTHER = "data_other"
    UNKNOWN = "unknown"


class Target(StrEnum):
    """Which part of the program a suspect is about."""

    LAYER = "layer"
    LOSS = "loss"
    OPTIMIZER = "optimizer"
    DATA = "data"
    TRAINING = "training"


class Clue(str):
    """A piece of evidence: a sentence that knows which fact it states, in whatever words."""

    fact: Hashable

    def __new__(cls, sentence: str, fact: Hashable) -> "Clue":  # noqa: D102  the class says it
        self = super().__new__(cls, sentence)
        self.fact = fact
        return self

    def __getnewargs__(self) -> tuple[str, Hashable]:  # type: ignore[override]
        """What copies and pickles are made of."""
        return str(self), self.fact


def clue(finding: Finding, sentence: str = "") -> Clue:
    """What a finding says, in numbers unless in other words."""
    return Clue(sentence or finding.in_numbers, (finding.rule, finding.place))


def fact_of(sentence: str) -> Hashable:
    """The fact that a piece of evidence states: of a bare sentence, the sentence itself."""
    return sentence.fact if isinstance(sentence, Clue) else sentence


@dataclass(frozen=True)
class Suspect:
    """A cause that would explain what the run did.

    ``confidence``, 0 to 1, orders suspects; `calibration` makes it a frequency to be believed.
    ``evidence`` are sentences with the numbers and where they stand; ``fix`` is what to try,
    in Keras code where possible. ``trial`` is what came of trying the fix; None: nobody asked.
    """

    cause: Cause
    target: Target
    layer: LayerRef | None
    confidence: float
    symptoms: tuple[Symptom, ...]
    evidence: tuple[str, ...]
    fix: str
    trial: Trial | None = None


@dataclass(frozen=True, eq=False)
class Case:
    """Everything that suspects are inferred from: what the run did and what it was.

    ``outlier`` is a value that was fed before the fault and is out of line, if any. ``facts`` are
    what the checks looked at (None: none did).
    """

    header: Header
    findings: tuple[Finding, ...]
    first_fault: FirstFault
    growths: tuple[Growth, ...] = ()
    outlier: Outlier | None = None
    facts: Facts | None = None

    def showing(self, *symptoms: Symptom) -> tuple[Finding, ...]:
        """The findings of the given symptoms, in order of (onset, position)."""
        return tuple(finding for finding in self.findings if finding.symptom in symptoms)

    def layer_of(self, ref: LayerRef | None) -> Layer | None:
        """The header's entry of a layer that a finding names."""
        return next((layer for layer in self.header.layers if layer_ref(layer) == ref), None)
