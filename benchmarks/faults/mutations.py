"""Seeded faults: healthy programs changed systematically, each change with its right answers.

An operator turns a program and a place into a faulty program. Every operator is applied to
several parents, at every place that it can take there (the first two); one with few parents with
several seeds.
Whether a change did harm is measured, not assumed: the skill of the mutant against that of its
parent decides, without the analyzer, whether it counts as a fault (see `judge.py`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .program import Answer, Case, Group, Layer, Program
from .zoo import PROGRAMS, SEEDS, seeded

MAX_PLACES = 2

Mutant = tuple[Program, tuple[Answer, ...]]
Change = Callable[[Program, int], Mutant]


@dataclass(frozen=True)
class Operator:
    """One way to break a program, the places it can be done at, and what it is done to."""

    name: str
    change: Change
    parents: tuple[str, ...]
    places: Callable[[Program], Sequence[int]]
    seeds: tuple[int, ...] = SEEDS


def cases() -> Iterator[Case]:
    """Every operator on each of its parents, places and seeds."""
    for operator in OPERATORS:
        for parent in operator.parents:
            program = PROGRAMS[parent]
            for place in list(operator.places(program))[:MAX_PLACES]:
                for seed in operator.seeds[: 1 if len(operator.parents) > 2 else None]:
                    mutant, answers = operator.change(seeded(parent, seed), place)
                    yield Case(
                        f"{operator.name}/{parent}/{place}/{seed}", Group.SEEDED, mutant, answers,
                        parent=f"{parent}/{seed}", operator=operator.name,
                    )  # fmt: skip


# ---- places -----------------------------------------------------------------------------------

_WEIGHTED = frozenset({"Dense", "Conv2D", "Conv1D", "LSTM", "GRU", "SimpleRNN"})


def weighted(program: Program) -> list[int]:
    """Indices of layers with a kernel."""
    return [i for i, one in enumerate(program.layers) if one["class"] in _WEIGHTED]


def hidden(program: Program) -> list[int]:
    """Weighted layers but the last."""
    return weighted(program)[:-1]


def middle(program: Program) -> list[int]:
    """Hidden layers but the first."""
    return hidden(program)[1:] or hidden(program)


def output(program: Program) -> list[int]:
    """The last weighted layer."""
    return weighted(program)[-1:]


def whole(program: Program) -> list[int]:
    """No place in particular."""
    return [0]


# ---- changes ----------------------------------------------------------------------------------


def _at(program: Program, places: Iterable[int], **arguments: Any) -> Program:
    chosen = set(places)
    return replace(
        program,
        layers=tuple(
            {**one, **arguments} if i in chosen else one for i, one in enumerate(program.layers)
        ),
    )


def _inserted(program: Program, place: int, new: Layer) -> Program:
    layers = (*program.layers[:place], new, *program.layers[place:])
    return replace(program, layers=layers)


def _near(*layers: int) -> frozenset[int]:
    return frozenset(layers)


def _output_answers(place: int) -> tuple[Answer, ...]:
    return tuple(
        Answer(cause, _near(place)) for cause in ("output_activation", "activation_loss_mismatch")
    )


def output_activation(activation: str) -> Change:
    """Another activation of the output layer."""
    return lambda program, place: (
        _at(program, [place], activation=activation),
        _output_answers(place),
    )


def hidden_activation(activation: str) -> Change:
    """Another activation of one hidden layer."""
    return lambda program, place: (
        _at(program, [place], activation=activation),
        (Answer("hidden_activation", _near(place)),),
    )


def every_hidden_activation(activation: str) -> Change:
    """Another activation of all hidden layers."""

    def change(program: Program, place: int) -> Mutant:
        places = frozenset(hidden(program))
        answers = [Answer("hidden_activation", places)]
        if activation == "linear":
            answers.append(Answer("missing_layer"))
        return _at(program, places, activation=activation), tuple(answers)

    return change


def loss(name: str, *causes: str) -> Change:
    """Another loss."""

    def change(program: Program, place: int) -> Mutant:
        layered = [Answer(c, _near(place)) for c in causes if c not in _PLACELESS]
        loose = [Answer(c) for c in causes if c in _PLACELESS]
        return replace(program, loss=name), (Answer("loss_function"), *loose, *layered)

    return change


_PLACELESS = frozenset({"label_encoding", "loss_function", "learning_rate", "optimizer"})


def from_logits(program: Program, place: int) -> Mutant:
    """The loss takes for logits what a softmax or sigmoid has already squashed."""
    name = {
        "sparse_categorical_crossentropy": "sparse_from_logits",
        "categorical_crossentropy": "categorical_from_logits",
        "binary_crossentropy": "binary_from_logits",
    }[program.loss]
    return replace(program, loss=name), (*_output_answers(place), Answer("loss_function"))


def learning_rate(factor: float) -> Change:
    """The learning rate times a factor."""

    def change(program: Program, place: int) -> Mutant:
        optimizer = dict(program.optimizer)
        optimizer["learning_rate"] *= factor
        return (
            replace(program, optimizer=optimizer),
            (Answer("learning_rate"), Answer("optimizer")),
        )

    return change


def optimizer(**description: Any) -> Change:
    """Another optimizer, or other settings of it."""

    def change(program: Program, place: int) -> Mutant:
        changed: Mapping[str, Any] = {**program.optimizer, **description}
        if "class" in description:
            changed = description
        return (
            replace(program, optimizer=changed),
            (Answer("optimizer"), Answer("learning_rate")),
        )

    return change


def initializer(description: Any) -> Change:
    """Other initial weights of one layer."""
    return lambda program, place: (
        _at(program, [place], kernel_initializer=description),
        (Answer("weight_initialization", _near(place)),),
    )


def buried_bias(value: float) -> Change:
    """A bias so negative that no unit of the layer ever responds."""
    description = {"class_name": "Constant", "config": {"value": value}}
    return lambda program, place: (
        _at(program, [place], bias_initializer=description),
        (
            Answer("weight_initialization", _near(place)),
            Answer("hidden_activation", _near(place)),
        ),
    )


def distorted(name: str, argument: Any, cause: str) -> Change:
    """The data are not as the program expects."""
    answers = (Answer(cause),)
    return lambda program, place: (
        replace(program, distortions=(*program.distortions, (name, argument))),
        answers,
    )


def out_of_range_labels(program: Program, place: int) -> Mutant:
    """Classes counted from 1."""
    mutant, answers = distorted("shift_y", 1, "label_encoding")(program, place)
    return mutant, (*answers, Answer("output_shape", _near(place)))


def fewer_units(program: Program, place: int) -> Mutant:
    """Fewer outputs than classes."""
    units = program.layers[place]["units"]
    return (
        _at(program, [place], units=units - max(1, units // 4)),
        (Answer("output_shape", _near(place)), Answer("label_encoding")),
    )


def one_unit(program: Program, place: int) -> Mutant:
    """One sigmoid for several classes."""
    mutant = replace(
        _at(program, [place], units=1, activation="sigmoid"), loss="binary_crossentropy"
    )
    return mutant, (Answer("output_shape", _near(place)), *_output_answers(place))


def no_hidden_layer(program: Program, place: int) -> Mutant:
    """Only the output layer is left."""
    return replace(program, layers=program.layers[-1:]), (Answer("missing_layer"),)


def bottleneck(program: Program, place: int) -> Mutant:
    """A hidden layer of one unit."""
    return _at(program, [place], units=1), (Answer("output_shape", _near(place)),)


def after(new: Layer, *causes: str) -> Change:
    """A layer that should not be there, behind the given one."""

    def change(program: Program, place: int) -> Mutant:
        where = _near(place + 1, place) if "output_activation" in causes else _near(place + 1)
        return _inserted(program, place + 1, new), tuple(Answer(c, where) for c in causes)

    return change


def regularizer(strength: float) -> Change:
    """A penalty that leaves nothing of the weights."""
    description = {"class_name": "L2", "config": {"l2": strength}}

    def change(program: Program, place: int) -> Mutant:
        places = frozenset(weighted(program))
        return _at(program, places, kernel_regularizer=description), (
            Answer("extra_layer", places),
        )

    return change


def relu_on_logits(program: Program, place: int) -> Mutant:
    """A relu between the last kernel and its softmax."""
    softened = _at(program, [place], activation="relu")
    mutant = _inserted(softened, place + 1, {"class": "Activation", "activation": "softmax"})
    return mutant, (
        Answer("extra_layer", _near(place, place + 1)),
        *(Answer(a.cause, _near(place, place + 1)) for a in _output_answers(place)),
    )


def few_updates(program: Program, place: int) -> Mutant:
    """Few and large batches."""
    return (
        replace(program, n_epochs=3, batch_size=64, optimizer={**program.optimizer}),
        (Answer("epochs_or_batch_size"),),
    )


def unguarded_loss(program: Program, place: int) -> Mutant:
    """A cross-entropy of the user's own, without an epsilon, and inputs that saturate it."""
    mutant = replace(
        program, loss="unguarded_cross_entropy", optimizer={"class": "Adam", "learning_rate": 0.05}
    )
    return mutant, (Answer("numerical_instability"), Answer("loss_function"))


def _normal(std: float) -> dict[str, Any]:
    return {"class_name": "RandomNormal", "config": {"stddev": std}}


def _constant(value: float) -> dict[str, Any]:
    return {"class_name": "Constant", "config": {"value": value}}


def _operation(function: str) -> Layer:
    return {"class": "Operation", "function": function}


OPERATORS: tuple[Operator, ...] = (
    # Output.
    Operator("one_unit_softmax", output_activation("softmax"),
             ("mlp_binary", "breast_cancer", "embedding"), output),
    Operator("sigmoid_for_values", output_activation("sigmoid"),
             ("mlp_regression", "mlp_houses", "mlp_several"), output),
    Operator("relu_for_values", output_activation("relu"),
             ("mlp_regression", "mlp_several"), output),
    Operator("softmax_for_values", output_activation("softmax"),
             ("mlp_several", "gru_forecast"), output),
    Operator("tanh_for_values", output_activation("tanh"), ("mlp_houses", "diabetes"), output),
    Operator("linear_under_crossentropy", output_activation("linear"),
             ("mlp_onehot", "mlp_sparse", "mlp_binary"), output),
    Operator("relu_under_crossentropy", output_activation("relu"),
             ("mlp_onehot", "mlp_tags", "cnn_bars"), output),
    Operator("tanh_under_crossentropy", output_activation("tanh"),
             ("mlp_binary", "mlp_tags", "wine"), output),
    Operator("softmax_for_tags", output_activation("softmax"), ("mlp_tags", "mlp_layernorm"),
             output),
    Operator("sigmoid_under_categorical", output_activation("sigmoid"),
             ("mlp_onehot", "wine", "rnn_waves", "cnn_bars"), output),
    Operator("from_logits_after_softmax", from_logits, ("mlp_onehot", "cnn_digits"), output),
    # Hidden layers.
    Operator("no_nonlinearity", every_hidden_activation("linear"),
             ("mlp_onehot", "mlp_binary", "mlp_tags", "mlp_regression", "mlp_two_softmax"), whole),
    Operator("sigmoid_everywhere", every_hidden_activation("sigmoid"), ("mlp_deep",), whole),
    Operator("softmax_in_between", hidden_activation("softmax"),
             ("mlp_sparse", "mlp_regression", "mlp_deep"), hidden),
    Operator("exponential_in_between", hidden_activation("exponential"),
             ("mlp_sparse", "mlp_deep"), middle),
    Operator("buried_bias", buried_bias(-20.0), ("mlp_sparse", "mlp_binary", "cnn_bars"), hidden),
    # Loss.
    Operator("categorical_for_one_column", loss(
        "categorical_crossentropy", "activation_loss_mismatch", "output_shape"),
        ("mlp_binary", "breast_cancer"), output),
    Operator("crossentropy_for_values", loss(
        "binary_crossentropy", "activation_loss_mismatch"),
        ("mlp_regression", "gru_forecast", "mlp_houses"), output),
    Operator("divergence_for_one_column", loss("kl_divergence", "activation_loss_mismatch"),
             ("mlp_binary", "embedding"), output),
    Operator("cosine_for_one_value", loss("cosine_similarity"), ("mlp_regression", "diabetes"),
             output),
    # Optimizer.
    Operator("learning_rate_too_high", learning_rate(300.0),
             ("mlp_sparse", "mlp_tags", "cnn_bars", "mlp_regression", "lstm_waves"), whole),
    Operator("step_too_high", learning_rate(100.0), ("sgd", "sgd_momentum", "sgd_nesterov"), whole),
    Operator("learning_rate_too_low", learning_rate(1e-4),
             ("mlp_sparse", "mlp_regression", "mlp_binary", "cnn_bars", "embedding"), whole),
    Operator("learning_rate_of_zero", learning_rate(0.0), ("mlp_onehot",), whole),
    Operator("adadelta_at_its_default", optimizer(**{"class": "Adadelta", "learning_rate": 0.001}),
             ("mlp_onehot", "mlp_tags"), whole),
    Operator("endless_momentum", optimizer(momentum=0.9999), ("sgd", "sgd_momentum"), whole),
    Operator("huge_epsilon", optimizer(epsilon=1e3), ("mlp_sparse", "mlp_regression"), whole),
    # Initial weights.
    Operator("zero_kernel", initializer("zeros"), ("mlp_sparse", "mlp_deep", "cnn_bars"), middle),
    Operator("equal_kernel", initializer(_constant(0.3)),
             ("mlp_sparse", "mlp_onehot", "cnn_digits"), hidden),
    Operator("huge_kernel", initializer(_normal(20.0)),
             ("mlp_sparse", "mlp_regression", "mlp_deep"), hidden),
    Operator("tiny_kernel", initializer(_normal(1e-9)), ("mlp_deep", "sgd_momentum"), hidden),
    # Data.
    Operator("large_inputs", distorted("multiply_x", 1000.0, "input_scale"),
             ("mlp_sparse", "mlp_regression", "mlp_tags", "wine", "sgd_momentum"), whole),
    Operator("shifted_inputs", distorted("shift_x", 100.0, "input_scale"),
             ("mlp_binary", "mlp_onehot", "breast_cancer"), whole),
    Operator("one_large_feature", distorted("one_large_feature", 1e4, "input_scale"),
             ("mlp_onehot", "mlp_regression", "mlp_tags"), whole),
    Operator("tiny_inputs", distorted("multiply_x", 1e-4, "input_scale"),
             ("mlp_binary", "sgd"), whole),
    Operator("nan_in_inputs", distorted("spoil_x", "nan", "input_values"),
             ("mlp_sparse", "cnn_bars", "gru_forecast"), whole),
    Operator("infinity_in_inputs", distorted("spoil_x", "inf", "input_values"),
             ("mlp_tags", "lstm_waves"), whole),
    Operator("nan_in_targets", distorted("spoil_y", "nan", "input_values"),
             ("mlp_regression", "mlp_several"), whole),
    Operator("same_input_for_all", distorted("constant_x", 0.5, "data_other"),
             ("mlp_sparse", "mlp_regression"), whole),
    Operator("shuffled_targets", distorted("shuffle_y", 3, "data_other"),
             ("mlp_tags", "breast_cancer"), whole),
    # Labels and outputs.
    Operator("scaled_class_numbers", distorted("multiply_y", 1 / 255, "label_encoding"),
             ("mlp_sparse", "cnn_digits", "lstm_waves"), whole),
    Operator("classes_from_one", out_of_range_labels, ("mlp_sparse", "mlp_deep"), output),
    Operator("signed_labels", distorted("signed_y", None, "label_encoding"),
             ("mlp_binary", "breast_cancer"), whole),
    Operator("labels_in_percent", distorted("multiply_y", 100.0, "label_encoding"),
             ("mlp_binary", "mlp_tags"), whole),
    Operator("huge_targets", distorted("multiply_y", 1e5, "label_encoding"),
             ("mlp_regression", "mlp_several", "gru_forecast"), whole),
    Operator("fewer_units_than_classes", fewer_units, ("mlp_sparse", "lstm_waves", "cnn_digits"),
             output),
    Operator("one_unit_for_classes", one_unit, ("mlp_sparse", "cnn_digits"), output),
    # Layers.
    Operator("no_hidden_layer", no_hidden_layer, ("mlp_binary", "mlp_two_softmax", "mlp_tags"),
             whole),
    Operator("bottleneck", bottleneck, ("mlp_sparse", "mlp_deep", "mlp_several"), hidden),
    Operator("dropout_of_nearly_all", after({"class": "Dropout", "rate": 0.97}, "extra_layer"),
             ("mlp_sparse", "mlp_onehot", "cnn_bars"), hidden),
    Operator("dropout_after_output", after({"class": "Dropout", "rate": 0.5}, "extra_layer"),
             ("mlp_onehot", "mlp_regression", "mlp_binary"), output),
    Operator("relu_on_logits", relu_on_logits, ("mlp_onehot", "mlp_sparse"), output),
    Operator("crushing_penalty", regularizer(1.0), ("mlp_sparse", "mlp_regression"), whole),
    # Length.
    Operator("few_updates", few_updates,
             ("mlp_onehot", "mlp_binary", "mlp_tags", "lstm_waves", "embedding"), whole),
    # Arithmetic.
    Operator("logarithm_of_zero", after(_operation("log"), "numerical_instability"),
             ("mlp_sparse", "mlp_tags"), hidden),
    Operator("root_of_zero", after(_operation("sqrt"), "numerical_instability"),
             ("mlp_regression", "mlp_onehot"), hidden),
    Operator("one_over_zero", after(_operation("inverse"), "numerical_instability"),
             ("mlp_several", "cnn_bars"), hidden, (0,)),
    Operator("unguarded_loss", unguarded_loss, ("mlp_binary", "breast_cancer"), whole),
)  # fmt: skip
