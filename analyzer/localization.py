"""The first fault: which layer, when, in which tensor, and what led to it."""

from collections.abc import Sequence
from dataclasses import dataclass

from deeplocalize.traces.header import Header
from deeplocalize.traces.schema import Kind, Phase

from .chain import Link, chain_of
from .findings import Finding
from .guilty import GuiltyRows
from .operation import Nature, nature_of
from .outlier import Outlier
from .places import LayerRef, Moment, Place, layer_ref
from .producer import Origin, producer_of
from .rules.rule import Symptom
from .window import Window

_UNCERTAIN = " (according to a replay that differs from the step in some bits)"


@dataclass(frozen=True)
class FirstFault:
    """Where and when a run first went wrong.

    ``layer`` is the producer (None: the data, the loss or the step as a whole), ``place`` the
    first tensor that shows it, which in the backward phase may belong to another layer.
    ``alternatives`` are unrecorded layers that could be the producer as well, ``unseen`` kinds of
    what was fed and not recorded, which could have been broken before. ``origin`` and ``nature``
    are None for symptoms other than non-finite values. Not ``is_certain``: the place
    comes from a replay that was not the step bit by bit. Not ``is_dated``: the program or the
    whole run shows it, and the moment is that of its beginning. ``rows`` are the guilty samples,
    where the trace holds the failing batch. Just before a non-finite value, ``n_skipped``
    iterations were not recorded.
    """

    moment: Moment
    phase: Phase
    layer: LayerRef | None
    place: Place
    symptom: Symptom
    explanation: str
    origin: Origin | None = None
    nature: Nature | None = None
    hint: str = ""
    alternatives: tuple[LayerRef, ...] = ()
    unseen: tuple[Kind, ...] = ()
    chain: tuple[Link, ...] = ()
    is_certain: bool = True
    is_dated: bool = True
    rows: GuiltyRows | None = None
    n_skipped: int = 0

    @property
    def caveat(self) -> str:
        """What else might be meant, in sentences; empty if nothing."""
        sentences = [
            f"The {kind.replace('_', ' ')} of this batch was not recorded: it may not have been "
            "finite either."
            for kind in self.unseen
        ]
        if self.alternatives:
            names = ", ".join(map(str, self.alternatives))
            sentences.append(f"Layers that were not recorded could be meant as well: {names}.")
        if self.n_skipped:
            skipped = "iteration" if self.n_skipped == 1 else f"{self.n_skipped} iterations"
            sentences.append(
                f"Of the {skipped} right before it nothing was recorded but that all "
                "was finite: values out of line among what they were fed would not show."
            )
        return " ".join(sentences)


def locate(
    header: Header,
    finding: Finding,
    findings: Sequence[Finding],
    window: Window,
    outlier: Outlier | None = None,
) -> FirstFault:
    """Localize a finding, looking at the iterations around its onset.

    Parameters
    ----------
    finding
        What `first_of_the_worst` chose from ``findings``.
    window
        The iterations around the finding's onset.
    outlier
        What was fed before and is out of line, if anything.
    """
    chain = chain_of(finding, findings, window, outlier if finding.is_dated else None)
    if finding.symptom is not Symptom.NON_FINITE:
        return FirstFault(
            moment=window.moment,
            phase=finding.place.kind.phase,
            layer=finding.place.layer,
            place=finding.place,
            symptom=finding.symptom,
            explanation=_persisting(finding),
            chain=chain,
            is_dated=finding.is_dated,
        )
    producer = producer_of(header, finding.place, window)
    is_certain = window.is_certain(finding.place.series)
    return FirstFault(
        moment=window.moment,
        phase=finding.place.kind.phase,
        layer=None if producer.layer is None else layer_ref(header.layers[producer.layer]),
        place=finding.place,
        symptom=finding.symptom,
        explanation=producer.explanation + ("" if is_certain else _UNCERTAIN),
        origin=producer.origin,
        nature=nature_of(window, finding.place.series),
        hint=producer.hint,
        alternatives=tuple(layer_ref(header.layers[i]) for i in producer.alternatives),
        unseen=producer.unseen,
        n_skipped=window.n_skipped,
        chain=chain,
        is_certain=is_certain,
    )


def _persisting(finding: Finding) -> str:
    share = (
        f", in {finding.n_holding} of the {finding.n_judged} recorded iterations that could be "
        "judged"
    )
    is_always = finding.n_holding == finding.n_judged
    return f"the {finding}{'' if is_always else share} ({finding.quantity}: {finding.peak:.4g})"
