"""Suspects for a step that broke: something turned NaN or infinite."""

from collections.abc import Iterable

from deeplocalize.traces.schema import Kind, Phase

from ..operation import Nature
from ..optimizer import optimizer_facts
from ..places import LayerRef
from ..producer import Origin
from ..program import RECURRENT_CLASSES, only_multiplies
from ..rules.rule import Symptom
from .cause import Case, Cause, Suspect, Target, clue
from .outlying import COLUMNS


def suspects(case: Case) -> Iterable[Suspect]:
    """Bad data, growing weights, unstable arithmetic or broken weights, as the numbers say."""
    fault = case.first_fault
    if fault.symptom is not Symptom.NON_FINITE:
        return
    if fault.phase is Phase.INPUT:
        yield _input_values(case, fault.place.kind, 0.95)
        return
    if fault.place.kind is Kind.WEIGHT:
        yield _broken_weight(case)
        return
    growing = _growing_weights(case)
    for kind in fault.unseen:
        yield _input_values(case, kind, _confidence_in_unseen(case, bool(growing)))
    if growing:
        yield _learning_rate(case, growing)
    if fault.origin is Origin.AMPLIFICATION and not growing:
        yield _large_weights(case)
    if fault.place.kind is Kind.WEIGHT_UPDATE and not growing:
        yield _optimizer(case)
    if fault.place.kind is not Kind.WEIGHT_UPDATE and fault.origin is not Origin.AMPLIFICATION:
        yield _instability(case, is_likely=not growing)


def _growing_weights(case: Case) -> tuple[str, ...]:
    """Sentences that show weights thrown about before the fault."""
    fault = case.first_fault
    growth = [str(g) for g in case.growths if g.place.kind is Kind.WEIGHT]
    replaced = [
        clue(finding)
        for finding in case.showing(Symptom.LARGE_UPDATE)
        if finding.onset < fault.moment.iteration
    ]
    return (*growth[:2], *replaced[:2])


def _confidence_in_unseen(case: Case, is_growing: bool) -> float:
    """How likely a value of the batch is at fault that nobody recorded.

    Chosen: less than weights that were seen to grow; else more where the layer has nothing but
    products to break it, and as much as the layer's or the loss's arithmetic.
    """
    if is_growing:
        return 0.35
    return 0.8 if _has_exploded(case) else 0.5


def _input_values(case: Case, kind: Kind, confidence: float) -> Suspect:
    fault = case.first_fault
    column = COLUMNS[kind]
    return Suspect(
        cause=Cause.INPUT_VALUES,
        target=Target.DATA,
        layer=None,
        confidence=confidence,
        symptoms=(Symptom.NON_FINITE,),
        evidence=(f"{fault.explanation} ({fault.moment})",),
        fix="Find and remove or fill the rows before training:\n"
        f"bad = ~np.isfinite({column}).reshape(len({column}), -1).all(axis=1)\n"
        f"print(np.flatnonzero(bad))\n{column} = np.nan_to_num({column})  # or drop these rows",
    )


def _broken_weight(case: Case) -> Suspect:
    fault = case.first_fault
    is_initial = fault.origin is Origin.INITIAL_WEIGHT
    return Suspect(
        cause=Cause.WEIGHT_INITIALIZATION if is_initial else Cause.UNKNOWN,
        target=Target.LAYER if is_initial else Target.TRAINING,
        layer=fault.layer,
        confidence=0.9 if is_initial else 0.4,
        symptoms=(Symptom.NON_FINITE,),
        evidence=(f"{fault.explanation} ({fault.moment})",),
        fix="Check what fills this weight (its initializer, set_weights, load_weights), e.g.\n"
        "assert all(np.isfinite(w).all() for w in layer.get_weights())",
    )


def _large_weights(case: Case) -> Suspect:
    fault = case.first_fault
    is_recurrent = fault.layer is not None and fault.layer.class_name in RECURRENT_CLASSES
    return Suspect(
        cause=Cause.WEIGHT_INITIALIZATION,
        target=Target.LAYER,
        layer=fault.layer,
        confidence=0.85,
        symptoms=(Symptom.NON_FINITE,),
        evidence=(f"{fault.explanation} ({fault.moment})", "no weight has grown before"),
        fix='Leave the default initializers (recurrent_initializer="orthogonal"), or make the '
        "sequence shorter"
        if is_recurrent
        else "Leave the default initializers, or scale down what the layer computes",
    )


def _learning_rate(case: Case, growing: tuple[str, ...]) -> Suspect:
    optimizer, is_seen = optimizer_facts(case.header), not case.first_fault.n_skipped
    return Suspect(
        cause=Cause.LEARNING_RATE,
        target=Target.OPTIMIZER,
        layer=None,
        confidence=0.85 if is_seen else 0.65,  # chosen: absurd values make weights grow as well
        symptoms=(Symptom.NON_FINITE, *_symptoms(case)),
        evidence=(*growing, f"optimizer: {optimizer}"),
        fix="Lower the learning rate and bound the step:\n"
        f"model.compile(optimizer={optimizer.with_rate(0.01)}, clipnorm=1.0), ...)",
    )


def _optimizer(case: Case) -> Suspect:
    fault, optimizer = case.first_fault, optimizer_facts(case.header)
    return Suspect(
        cause=Cause.LEARNING_RATE,
        target=Target.OPTIMIZER,
        layer=None,
        confidence=0.6,
        symptoms=(Symptom.NON_FINITE,),
        evidence=(f"{fault.explanation} ({fault.moment})", f"optimizer: {optimizer}"),
        fix="Lower the learning rate and bound the gradient:\n"
        f"model.compile(optimizer={optimizer.with_rate(0.01)}, clipnorm=1.0), ...)",
    )


def _instability(case: Case, is_likely: bool) -> Suspect:
    fault = case.first_fault
    hint = (fault.hint,) if fault.hint else ()
    is_loss = fault.origin in (Origin.LOSS, Origin.LOSS_DERIVATIVE)
    weight = 0.8 if is_likely else 0.35
    if is_loss and not _is_guarded(case):
        weight = 0.95
    return Suspect(
        cause=Cause.NUMERICAL_INSTABILITY,
        target=Target.LOSS if is_loss else Target.LAYER,
        layer=fault.layer,
        # Layers that were not recorded share the suspicion, and so does the batch.
        confidence=weight / (1 + 0.5 * bool(fault.alternatives) + bool(fault.unseen)),
        symptoms=(Symptom.NON_FINITE,),
        evidence=(f"{fault.explanation} ({fault.moment})", *hint),
        fix=_fix(case, is_loss),
    )


def _fix(case: Case, is_loss: bool) -> str:
    fault = case.first_fault
    if _has_exploded(case):
        return _bounded(case)
    if fault.nature is Nature.INFINITE and _is_float16(case):
        return (
            "float16 ends at 65504. Keep weights and the loss in float32:\n"
            'keras.config.set_dtype_policy("mixed_float16")  # before the model is built'
        )
    if is_loss and case.facts is not None and case.facts.program.loss.is_distance:
        return (
            "What outputs and targets differ by is beyond the range of the loss: standardise the "
            "targets, and look for outputs or targets that are out of line"
        )
    return _stabilised(fault.layer, fault.nature, fault.phase, is_loss)


def _is_float16(case: Case) -> bool:
    return case.header.series[case.first_fault.place.series].dtype == "float16"


def _has_exploded(case: Case) -> bool:
    """Whether it broke in a layer that has nothing but products to break it."""
    fault, layer = case.first_fault, case.layer_of(case.first_fault.layer)
    is_in_layer = fault.origin in (Origin.LAYER, Origin.LAYER_DERIVATIVE)
    return is_in_layer and layer is not None and only_multiplies(layer)


def _bounded(case: Case) -> str:
    optimizer, layer = optimizer_facts(case.header), case.first_fault.layer
    clipped = f"model.compile(optimizer={optimizer.with_rate(1.0)}, clipnorm=1.0), ...)"
    if layer is None or layer.class_name not in RECURRENT_CLASSES:
        return f"Bound the gradient, and what the layers receive:\n{clipped}"
    return (
        "Let the recurrence keep its values in range: leave "
        'recurrent_initializer="orthogonal" and activation="tanh", or use LSTM or GRU; shorter '
        f"sequences, and a bounded step, help too:\n{clipped}"
    )


def _is_guarded(case: Case) -> bool:
    """Whether the loss is one that Keras computes stably; one of the user's own may not be."""
    loss = case.facts.program.loss if case.facts is not None else None
    return loss is None or not loss.name or loss.is_crossentropy or loss.is_distance


def _stabilised(layer: LayerRef | None, nature: Nature | None, phase: Phase, is_loss: bool) -> str:
    if is_loss:
        return (
            "Use a built-in loss, which is computed stably (from_logits=True for a linear output), "
            "or keep its arguments away from 0:\n"
            "keras.ops.log(keras.ops.maximum(p, keras.backend.epsilon()))"
        )
    where = f'In "{layer.name}", k' if layer else "K"
    if phase is Phase.BACKWARD:
        return (
            f"{where}eep the argument away from where the derivative is infinite:\n"
            "keras.ops.sqrt(keras.ops.maximum(x, keras.backend.epsilon()))"
        )
    if nature is Nature.INFINITE:
        return (
            f"{where}eep arguments in the range of the operation:\n"
            "keras.ops.exp(keras.ops.clip(x, -30.0, 30.0))\n"
            "keras.ops.log(keras.ops.maximum(x, keras.backend.epsilon()))"
        )
    return (
        f"{where}eep denominators and arguments positive:\n"
        "a / keras.ops.maximum(b, keras.backend.epsilon())\n"
        "keras.ops.sqrt(keras.ops.maximum(x, 0.0))\n"
        "keras.ops.exp(x - keras.ops.max(x, axis=-1, keepdims=True))  # in a softmax"
    )


def _symptoms(case: Case) -> tuple[Symptom, ...]:
    seen = case.showing(Symptom.LARGE_UPDATE, Symptom.EXPLODING_GRADIENT)
    return tuple(dict.fromkeys(finding.symptom for finding in seen))
