"""Suspects for what the checks saw: each names a cause, what it belongs to, and a fix."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from deeplocalize.traces.schema import Kind

from ..checks.targets import known_range
from ..constraint import constraint_of
from ..findings import Finding
from ..optimizer import optimizer_facts
from ..program import Program
from ..rules.rule import Severity, Symptom
from .cause import Case, Cause, Suspect, Target, clue
from .outlying import look_at_row

Fix = Callable[[Case, Finding], str]


@dataclass(frozen=True)
class Design:
    """What a symptom of the program means: its cause, what that belongs to, and the way out."""

    cause: Cause
    target: Target
    fix: Fix


def suspects(case: Case) -> Iterable[Suspect]:
    """One suspect for each thing that the checks found harmful, as likely as they say."""
    for finding in case.findings:
        design = DESIGNS.get(finding.symptom)
        if design is None or finding.severity < Severity.SEVERE:
            continue
        if _has_fitting_output(case, finding):
            continue
        yield Suspect(
            cause=design.cause,
            target=design.target,
            layer=finding.place.layer if design.target is Target.LAYER else None,
            confidence=finding.weight,
            symptoms=(finding.symptom,),
            evidence=(clue(finding, f"the {finding}"), *_how_it_went(case)),
            fix=design.fix(case, finding),
        )
        if finding.symptom is Symptom.FEW_STEPS:
            yield _larger_steps(case, finding)


def _larger_steps(case: Case, finding: Finding) -> Suspect:
    """What a longer run does, larger steps do as well, up to a point."""
    return Suspect(
        cause=Cause.LEARNING_RATE,
        target=Target.OPTIMIZER,
        layer=None,
        confidence=0.5 * finding.weight,
        symptoms=(finding.symptom,),
        evidence=(clue(finding, f"the {finding}"), f"optimizer: {optimizer_facts(case.header)}"),
        fix=_other_rate(10.0)(case, finding),
    )


def _how_it_went(case: Case) -> tuple[str, ...]:
    if case.facts is None or not math.isfinite(case.facts.outcome.first_loss.mean):
        return ()  # where it broke at once, it went nowhere
    return (f"how it went: {case.facts.outcome}",)


def _fixed(text: str) -> Fix:
    return lambda case, finding: text


def _fitting_activation(program: Program) -> str:
    """The output activation that the loss and the targets ask for."""
    if program.loss.from_logits:
        return "linear"
    if program.loss.is_over_classes:
        return "softmax"
    is_binary = program.loss.name == "binary_crossentropy" or _is_binary(program)
    return "sigmoid" if is_binary else "linear"


def _is_binary(program: Program) -> bool:
    target = program.target
    return (
        target is not None and (target.min, target.max) == (0, 1) and bool(target.is_integer_valued)
    )


def _fitting_output(case: Case, finding: Finding) -> str:
    """A layer with the activation that fits."""
    program = case.facts.program if case.facts is not None else None
    if program is None:
        return 'Dense(1, activation="linear")'
    activation = _fitting_activation(program)
    n_units = program.head.n_units if program.head is not None else 0
    units = str(n_units or 1)
    if activation == "softmax" and n_units <= 1:
        units = "n_classes"  # a softmax over one unit is 1
    loss = ' with loss="binary_crossentropy"'
    is_other_loss = activation == "sigmoid" and program.loss.name != "binary_crossentropy"
    return f'Dense({units}, activation="{activation}"){loss if is_other_loss else ""}'


def _has_fitting_output(case: Case, finding: Finding) -> bool:
    """Whether there is nothing to change: what is constant is so for another reason."""
    program = case.facts.program if case.facts is not None else None
    if finding.symptom is not Symptom.CONSTANT_OUTPUT or program is None or program.head is None:
        return False
    is_fitting = program.head.activation == _fitting_activation(program)
    return is_fitting and not (program.head.activation == "softmax" and program.head.n_units == 1)


def _enough_units(case: Case, finding: Finding) -> str:
    known = known_range(case.facts) if case.facts is not None else None
    n = int(known[2]) + 1 if known is not None else "n_classes"
    output = f'Dense({n}, activation="softmax") with loss="sparse_categorical_crossentropy"'
    if known is None or known[2] == known[0].max:
        return output
    # Nobody but the exception that ended the run tells of that label.
    return (
        "Look at the rows whose label no other batch has:\n"
        f"print(np.flatnonzero(y > {known[0].max:g}))\nIf they are right: {output}"
    )


def _fitting_loss(case: Case, finding: Finding) -> str:
    program = case.facts.program if case.facts is not None else None
    target = program.target if program is not None else None
    if target is None or target.is_integer_valued is False:
        return 'model.compile(loss="mse", ...) with a linear output'
    if target.is_one_hot:
        return 'model.compile(loss="categorical_crossentropy", ...) with a softmax output'
    if (target.min, target.max) == (0, 1):
        return 'model.compile(loss="binary_crossentropy", ...) with a sigmoid output'
    return 'model.compile(loss="sparse_categorical_crossentropy", ...) with a softmax output'


def _scaled_targets(case: Case, finding: Finding) -> str:
    program = case.facts.program if case.facts is not None else None
    if program is not None and program.loss.name == "mean_squared_logarithmic_error":
        # It takes what is below 0 for 0, and its gradient falls as one over the output.
        return (
            'Learn the logarithm: y = np.log1p(y) with loss="mse" and a linear output, and '
            "np.expm1 of predictions;\nor begin near the targets: "
            "Dense(1, bias_initializer=keras.initializers.Constant(np.median(y)))"
        )
    return "Standardise the targets: y = (y - y.mean()) / y.std(), and undo it in predictions"


def _other_rate(factor: float) -> Fix:
    return lambda case, finding: (
        f"model.compile(optimizer={optimizer_facts(case.header).with_rate(factor)}), ...)"
    )


def _default_settings(case: Case, finding: Finding) -> str:
    optimizer = optimizer_facts(case.header)
    return f"Leave the other settings: model.compile(optimizer={optimizer.with_rate(1.0)}), ...)"


def _trained(case: Case, finding: Finding) -> str:
    if any(series.kind is Kind.WEIGHT_UPDATE for series in case.header.series):
        return (
            "Hand the gradients to the optimizer at the end of train_step:\n"
            "self.optimizer.apply(gradients, self.trainable_weights)"
        )
    return "model.trainable = True  # or of the layers to train, before model.compile(...)"


def _larger_epsilon(case: Case, finding: Finding) -> str:
    optimizer = optimizer_facts(case.header)
    return (
        'Keep weights in float32: keras.mixed_precision.set_global_policy("mixed_float16")\n'
        f"or model.compile(optimizer={optimizer.with_rate(1.0)}, epsilon=1e-3), ...)"
    )


def _weaker_hold(case: Case, finding: Finding) -> str:
    layer = case.layer_of(finding.place.layer)
    if layer is not None and constraint_of(layer, finding.place.tensor):
        return "Leave out the constraint, or take a wider one: keras.constraints.MaxNorm(3)"
    regularized = "activity" if finding.place.kind is Kind.OUTPUT else "kernel"
    return f"{regularized}_regularizer=keras.regularizers.L2(1e-4)"


SCALED = (
    "Standardise the inputs:\n"
    "normalization = keras.layers.Normalization()\nnormalization.adapt(x)\n"
    "# and make it the first layer (for images: keras.layers.Rescaling(1 / 255))"
)

_LABELS = Design(
    Cause.LABEL_ENCODING,
    Target.DATA,
    _fixed("Number the classes from 0: _, y = np.unique(y, return_inverse=True)"),
)

_OUTPUT = Design(Cause.OUTPUT_ACTIVATION, Target.LAYER, _fitting_output)
_MISMATCH = Design(Cause.ACTIVATION_LOSS_MISMATCH, Target.LAYER, _fitting_output)
_RATE_DOWN = Design(Cause.LEARNING_RATE, Target.OPTIMIZER, _other_rate(0.01))
_DATA = Design(
    Cause.DATA_OTHER,
    Target.DATA,
    _fixed("Look at what is fed: print(x[:3], y[:3], x.std(axis=0), np.unique(y))"),
)

DESIGNS: dict[Symptom, Design] = {
    Symptom.CONSTANT_OUTPUT: _OUTPUT,
    Symptom.OUTPUT_RANGE: _OUTPUT,
    Symptom.EXCLUSIVE_LABELS: _OUTPUT,
    Symptom.NOT_PROBABILITIES: _MISMATCH,
    Symptom.NOT_EXCLUSIVE: _MISMATCH,
    Symptom.SQUASHED_TWICE: Design(
        Cause.ACTIVATION_LOSS_MISMATCH, Target.LAYER,
        _fixed("Squash once: leave the layer linear, or take from_logits=True out of the loss"),
    ),
    Symptom.RECTIFIED_LOGITS: Design(
        Cause.OUTPUT_ACTIVATION, Target.LAYER,
        _fixed("Leave the layer before the softmax linear: Dense(n_classes)"),
    ),
    Symptom.NOISE_AFTER_OUTPUT: Design(
        Cause.EXTRA_LAYER, Target.LAYER, _fixed("Remove the layer, or move it before the output")
    ),
    Symptom.TOO_FEW_OUTPUTS: Design(Cause.OUTPUT_SHAPE, Target.LAYER, _enough_units),
    Symptom.LOSS_DOES_NOT_FIT: Design(Cause.LOSS_FUNCTION, Target.LOSS, _fitting_loss),
    Symptom.LABELS_OUT_OF_RANGE: _LABELS,
    Symptom.TARGET_NOT_SCALED: Design(
        Cause.LABEL_ENCODING, Target.DATA,
        _scaled_targets,
    ),
    Symptom.OUTLYING_VALUE: Design(
        Cause.INPUT_VALUES, Target.DATA, lambda case, finding: look_at_row(finding.place)
    ),
    Symptom.LABELS_CONSTANT: _DATA,
    Symptom.INPUT_CONSTANT: _DATA,
    Symptom.NO_DISTRIBUTION: _MISMATCH,
    Symptom.LOSS_NEGATIVE: _LABELS,
    Symptom.MISLEADING_LOSS: Design(
        Cause.LOSS_FUNCTION, Target.LOSS,
        _fixed("Turn the sign of the loss (return -value): it has to be least where outputs equal "
               "targets. Or take a built-in one, such as loss=\"mse\""),
    ),
    Symptom.LOSS_OSCILLATING: _RATE_DOWN,
    Symptom.FEATURE_SCALES: Design(Cause.INPUT_SCALE, Target.DATA, _fixed(SCALED)),
    Symptom.OPTIMIZER_SETTINGS: Design(Cause.OPTIMIZER, Target.OPTIMIZER, _default_settings),
    Symptom.LOST_EPSILON: Design(Cause.OPTIMIZER, Target.OPTIMIZER, _larger_epsilon),
    Symptom.INPUT_NOT_SCALED: Design(Cause.INPUT_SCALE, Target.DATA, _fixed(SCALED)),
    Symptom.EQUAL_WEIGHTS: Design(
        Cause.WEIGHT_INITIALIZATION, Target.LAYER,
        _fixed('Leave the default, or kernel_initializer="he_normal" (relu) or "glorot_uniform"'),
    ),
    Symptom.WEIGHTS_OUT_OF_SCALE: Design(
        Cause.WEIGHT_INITIALIZATION, Target.LAYER,
        _fixed('Leave the default, or kernel_initializer="he_normal" (relu) or "glorot_uniform"'),
    ),
    Symptom.EXPLODING_VALUES: Design(
        Cause.WEIGHT_INITIALIZATION, Target.LAYER,
        _fixed('Leave the default initializers; in a recurrent layer also activation="tanh", or '
               "use LSTM or GRU, or shorter sequences"),
    ),
    Symptom.STALE_STATISTICS: Design(
        Cause.EXTRA_LAYER, Target.LAYER,
        _fixed("keras.layers.BatchNormalization(), whose momentum is 0.99; less in short runs"),
    ),
    Symptom.NO_NONLINEARITY: Design(
        Cause.HIDDEN_ACTIVATION, Target.LAYER, _fixed('Dense(..., activation="relu")')
    ),
    Symptom.STACKED_SQUASHING: Design(
        Cause.HIDDEN_ACTIVATION, Target.LAYER,
        _fixed('Use activation="relu" with kernel_initializer="he_normal" in hidden layers'),
    ),
    Symptom.SOFTMAX_INSIDE: Design(
        Cause.HIDDEN_ACTIVATION, Target.LAYER, _fixed('Dense(..., activation="relu")')
    ),
    Symptom.NARROW_LAYER: Design(
        Cause.OUTPUT_SHAPE, Target.LAYER, _fixed("Give the layer more units, e.g. Dense(32, ...)")
    ),
    Symptom.NO_HIDDEN_LAYER: Design(
        Cause.MISSING_LAYER, Target.TRAINING,
        _fixed('Add a hidden layer before the output: Dense(32, activation="relu")'),
    ),
    Symptom.HEAVY_NOISE: Design(
        Cause.EXTRA_LAYER, Target.LAYER, _fixed("Dropout(0.3), or none until the model learns")
    ),
    Symptom.CRUSHED_WEIGHTS: Design(
        Cause.EXTRA_LAYER, Target.LAYER, _weaker_hold
    ),
    Symptom.LARGE_STEPS: _RATE_DOWN,
    Symptom.SMALL_STEPS: Design(
        Cause.LEARNING_RATE, Target.OPTIMIZER,
        _fixed("Raise the learning rate, e.g. keras.optimizers.Adam(learning_rate=1e-3)"),
    ),
    Symptom.NOTHING_TRAINED: Design(Cause.OPTIMIZER, Target.TRAINING, _trained),
    Symptom.DYING_RATE: Design(
        Cause.LEARNING_RATE, Target.OPTIMIZER,
        _fixed("Let it fall over the whole run, or not at all:\n"
               "keras.optimizers.schedules.CosineDecay(1e-3, decay_steps=epochs * len(batches))"),
    ),
    Symptom.NO_GRADIENT: Design(
        Cause.LOSS_FUNCTION, Target.LOSS,
        _fixed("Look at loss_weights, and at what stands between the outputs and the loss: does "
               "it pass gradients on (no argmax, round, NumPy, stop_gradient)?"),
    ),
    Symptom.OUTWEIGHED_LOSS: Design(
        Cause.LOSS_FUNCTION, Target.LOSS,
        _fixed("Weigh what is added: smaller factors in add_loss and in regularizers, so that both "
               "parts are of the same order"),
    ),
    Symptom.SAMPLES_IGNORED: Design(
        Cause.DATA_OTHER, Target.DATA,
        _fixed("Give every class and sample that is to be learned a weight above 0: look at "
               "class_weight and at np.unique(sample_weight)"),
    ),
    Symptom.SORTED_LABELS: Design(
        Cause.DATA_OTHER, Target.DATA,
        _fixed("Shuffle: model.fit(..., shuffle=True), dataset.shuffle(len(x)), or\n"
               "order = np.random.permutation(len(x)); x, y = x[order], y[order]"),
    ),
    Symptom.BROADCAST_LOSS: Design(
        Cause.LOSS_FUNCTION, Target.LOSS,
        _fixed("Bring targets to the shape of the outputs, y = y[:, None], or use "
               "self.compute_loss(y=y, y_pred=y_pred)"),
    ),
    Symptom.NEGATIVE_RATES: Design(
        Cause.ACTIVATION_LOSS_MISMATCH, Target.LAYER,
        _fixed('Dense(..., activation="exponential"), or "softplus"'),
    ),
    Symptom.NO_BATCH_VARIANCE: Design(
        Cause.EPOCHS_OR_BATCH_SIZE, Target.LAYER,
        _fixed("Larger batches, model.fit(..., batch_size=32), or keras.layers.LayerNormalization, "
               "which looks at one sample"),
    ),
    Symptom.SAME_FOR_ALL: Design(
        Cause.EXTRA_LAYER, Target.LAYER,
        _fixed("Operate on the axes behind the first, which is that of the samples: "
               "keras.ops.mean(x, axis=1)"),
    ),
    Symptom.FEW_STEPS: Design(
        Cause.EPOCHS_OR_BATCH_SIZE, Target.TRAINING,
        _fixed("Train longer: model.fit(..., epochs=10 * epochs), or with smaller batches"),
    ),
}  # fmt: skip
