"""Suspects for parts of a network that stand still: dead, zero, unchanged, without gradient."""

from collections.abc import Iterable
from dataclasses import replace

from deeplocalize.traces.schema import Kind

from ..findings import Finding
from ..graph import output_layers
from ..optimizer import optimizer_facts
from ..places import layer_ref
from ..rules.rule import Symptom
from . import cutoff
from .cause import Case, Cause, Suspect, Target, clue

_SQUASHING = frozenset({"sigmoid", "tanh", "hard_sigmoid", "softmax"})


def suspects(case: Case) -> Iterable[Suspect]:
    """One group of suspects for the earliest finding of each symptom."""
    for symptom, infer in (
        (Symptom.DEAD_UNITS, _dead),
        (Symptom.VANISHING_GRADIENT, _vanishing),
        (Symptom.STAYS_ZERO, _zero),
        (Symptom.UNCHANGED_WEIGHT, _unchanged),
    ):
        seen = case.showing(symptom)
        if seen:
            yield from infer(case, seen[0])


def _dead(case: Case, finding: Finding) -> Iterable[Suspect]:
    outputs = {layer_ref(case.header.layers[i]) for i in output_layers(case.header)}
    is_output = finding.place.layer in outputs
    optimizer = optimizer_facts(case.header)
    hurt = [f for f in case.showing(Symptom.LARGE_UPDATE) if f.onset <= finding.onset]
    # Units that lived until the weights were thrown about did not die of their activation.
    is_killed = finding.onset > 0 and bool(hurt or optimizer.is_fast)
    # Before the first update, steps have done nothing: the layer began like this.
    was_never_alive = finding.n_holding == finding.n_judged and not case.header.is_resumed
    is_born = was_never_alive and not is_killed
    yield Suspect(
        cause=Cause.OUTPUT_ACTIVATION if is_output else Cause.HIDDEN_ACTIVATION,
        target=Target.LAYER,
        layer=finding.place.layer,
        confidence=0.7 if is_output or not (is_killed or is_born) else 0.45,
        symptoms=(finding.symptom,),
        evidence=(clue(finding),),
        fix="Use a linear output, and let the loss squash it (from_logits=True)"
        if is_output
        else 'Let negative values through: activation="leaky_relu", "elu" or "gelu", with '
        'kernel_initializer="he_normal"',
    )
    if is_born:
        yield _first_weights(case, finding, 0.4 if is_output else 0.7)
        return
    yield Suspect(
        cause=Cause.LEARNING_RATE,
        target=Target.OPTIMIZER,
        layer=None,
        confidence=0.75 if is_killed else 0.3,
        symptoms=(finding.symptom, *(f.symptom for f in hurt[:1])),
        evidence=(
            clue(finding),
            *(clue(f) for f in hurt[:1]),
            f"optimizer: {optimizer}",
        ),
        fix=f"A step too large pushes units into the zero half: {optimizer.with_rate(0.1)})",
    )


def _first_weights(case: Case, finding: Finding, confidence: float) -> Suspect:
    """The initialization, and which one, if it is plain that it is that of the biases."""
    suspect = _initialization(finding, confidence)
    ends = case.facts.ends if case.facts is not None else None
    biases = [i for i in _weights_of(case, finding) if case.header.series[i].tensor == "bias"]
    if ends is None or not any(ends.first(i, "max") < 0 for i in biases):
        return suspect
    return replace(
        suspect,
        evidence=(*suspect.evidence, "all biases of the layer are below 0 from the start"),
        fix='Leave the default, bias_initializer="zeros"',
    )


def _vanishing(case: Case, finding: Finding) -> Iterable[Suspect]:
    if case.showing(Symptom.DEAD_UNITS, Symptom.STAYS_ZERO):
        return
    squashing = [layer for layer in case.header.layers if layer.activation in _SQUASHING]
    if len(squashing) > 1:
        yield Suspect(
            cause=Cause.HIDDEN_ACTIVATION,
            target=Target.LAYER,
            layer=finding.place.layer,
            confidence=0.65,
            symptoms=(finding.symptom,),
            evidence=(
                clue(finding),
                f"{len(squashing)} layers with a saturating activation, e.g. "
                f"{layer_ref(squashing[0])}: {squashing[0].activation}",
            ),
            fix='Use activation="relu" with kernel_initializer="he_normal" in hidden layers, or '
            "put keras.layers.BatchNormalization() before each activation",
        )
    else:
        yield _initialization(finding, 0.4)


def _zero(case: Case, finding: Finding) -> Iterable[Suspect]:
    if finding.place.kind is Kind.WEIGHT and finding.onset == 0:
        yield _initialization(finding, 0.85)
    elif finding.place.kind is Kind.OUTPUT and _begins_with_zeros(case, finding):
        yield replace(
            _initialization(finding, 0.9),
            fix="Look at what fills the weights of this layer (weights=..., set_weights, a file "
            "that was not found); or leave the default initializers, and the layer trainable",
        )
    elif case.showing(Symptom.DEAD_UNITS):
        return
    elif finding.place.kind is Kind.WEIGHT_GRADIENT and (
        meant := tuple(cutoff.suspects(case, finding))
    ):
        yield from meant
    elif finding.onset == 0:
        yield _initialization(finding, 0.5)
    else:
        yield _unknown(finding)


def _begins_with_zeros(case: Case, finding: Finding) -> bool:
    """Whether the weights of the layer whose output stays zero were all zero at first."""
    weights = _weights_of(case, finding)
    ends = case.facts.ends if case.facts is not None else None
    return ends is not None and bool(weights) and all(ends.first(i, "rms") == 0 for i in weights)


def _weights_of(case: Case, finding: Finding) -> list[int]:
    """The series of the weights of the layer that a finding is about."""
    header = case.header
    return [
        i
        for i, series in enumerate(header.series)
        if series.kind is Kind.WEIGHT
        and series.layer is not None
        and layer_ref(header.layers[series.layer]) == finding.place.layer
    ]


def _unchanged(case: Case, finding: Finding) -> Iterable[Suspect]:
    if case.showing(Symptom.DEAD_UNITS, Symptom.STAYS_ZERO):
        return
    optimizer = optimizer_facts(case.header)
    if finding.rule == "no step changes the weight":
        yield Suspect(
            cause=Cause.LEARNING_RATE,
            target=Target.OPTIMIZER,
            layer=None,
            confidence=0.8,
            symptoms=(finding.symptom,),
            evidence=(clue(finding), f"optimizer: {optimizer}"),
            fix="Raise the learning rate, e.g. keras.optimizers.Adam(learning_rate=1e-3)",
        )
    else:
        yield from tuple(cutoff.suspects(case, finding)) or (_unknown(finding),)


def _initialization(finding: Finding, confidence: float) -> Suspect:
    return Suspect(
        cause=Cause.WEIGHT_INITIALIZATION,
        target=Target.LAYER,
        layer=finding.place.layer,
        confidence=confidence,
        symptoms=(finding.symptom,),
        evidence=(clue(finding),),
        fix='Leave the default, or kernel_initializer="he_normal" (relu) or "glorot_uniform"',
    )


def _unknown(finding: Finding) -> Suspect:
    return Suspect(
        cause=Cause.UNKNOWN,
        target=Target.LAYER if finding.place.layer else Target.TRAINING,
        layer=finding.place.layer,
        confidence=0.2,
        symptoms=(finding.symptom,),
        evidence=(clue(finding),),
        fix="Look at how this layer is connected: does the loss depend on its output, through "
        "nothing but operations that have a derivative (no argmax, round, cast, stop_gradient)? "
        "And does a train_step of your own hand its weights to the optimizer?",
    )
