"""Ways to break a program: each makes a faulty program of a healthy one and a place in it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..program import Answer, Layer, Program
from .places import hidden, weighted

Mutant = tuple[Program, tuple[Answer, ...]]
Change = Callable[[Program, int], Mutant]


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


def normal(std: float) -> dict[str, Any]:
    """An initializer of normal values."""
    return {"class_name": "RandomNormal", "config": {"stddev": std}}


def constant(value: float) -> dict[str, Any]:
    """An initializer of one value."""
    return {"class_name": "Constant", "config": {"value": value}}


def operation(function: str) -> Layer:
    """A layer that computes a function of each element."""
    return {"class": "Operation", "function": function}
