"""From a suspect to a training that tries its fix; all on configurations, without Keras."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from deeplocalize.analyzer.causes import Cause, Suspect, Target
from deeplocalize.analyzer.places import layer_ref
from deeplocalize.analyzer.program import program_of
from deeplocalize.analyzer.rules.rule import Symptom
from deeplocalize.analyzer.whatif.configuration import (
    entry_named,
    name_of,
    settings,
    without_shapes,
)
from deeplocalize.analyzer.whatif.fixes import FIXES, fixes_of
from deeplocalize.analyzer.whatif.obstacle import ObstacleError
from deeplocalize.analyzer.whatif.recipe import Setup
from deeplocalize.analyzer.whatif.situation import Fix
from deeplocalize.traces.header import DataSummary, Header, Layer
from deeplocalize.traces.schema import Kind

SGD = {"class_name": "SGD", "config": {"learning_rate": 0.5, "momentum": 0.9}}
BINARY = DataSummary(
    Kind.LABEL, "", (None, 1), "float32", 64, 0.0, 1.0, is_integer_valued=True, n_distinct=2
)
CLASSES = replace(BINARY, max=3.0, n_distinct=4)
ONE_HOT = replace(BINARY, shape=(None, 3), is_one_hot=True)
MANY_LABELS = replace(BINARY, shape=(None, 3), is_one_hot=False)
VALUES = replace(BINARY, max=7.5, is_integer_valued=False)


def dense(name: str, units: int, activation: str = "linear", **config: Any) -> dict[str, Any]:
    arguments = {"name": name, "units": units, "activation": activation, **config}
    return {"module": "keras.layers", "class_name": "Dense", "config": arguments}


def other(class_name: str, name: str, **config: Any) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": class_name, "config": {"name": name, **config}}


HIDDEN = dense("hidden", 8, "relu")
_ACTS = {"Softmax": "softmax"}


class Case:
    """A stack of layers with what was compiled and fed, and a suspect."""

    def __init__(
        self,
        *stack: dict[str, Any],
        loss: Any = "mse",
        target: DataSummary = BINARY,
        model_class: str = "Sequential",
    ) -> None:
        layers = tuple(
            Layer(
                i, name_of(e), name_of(e), e["class_name"], i,
                activation=settings(e).get("activation", _ACTS.get(e["class_name"])),
                config=settings(e),
            )
            for i, e in enumerate(stack)
        )  # fmt: skip
        self.header = Header(
            model_class=model_class, loss=loss, optimizer=SGD, layers=layers, data=(target,)
        )
        self.setup = Setup(model_class, {"layers": list(stack)}, loss, SGD, n_steps=100)

    def fixes(
        self, cause: Cause, *symptoms: Symptom, layer: str = "", target: Target = Target.LAYER
    ) -> tuple[Fix, ...]:
        ref = next((layer_ref(one) for one in self.header.layers if one.name == layer), None)
        suspect = Suspect(cause, target, ref, 0.5, symptoms, (), "")
        return fixes_of(suspect, self.setup, program_of(self.header))

    def fix(self, cause: Cause, *symptoms: Symptom, layer: str = "", **kinds: Any) -> Fix:
        (fix,) = self.fixes(cause, *symptoms, layer=layer, **kinds)
        return fix


def at(fix: Fix, name: str) -> Mapping[str, Any]:
    return settings(entry_named(fix.setup.config, name))


@pytest.mark.parametrize(
    ("loss", "target", "activation", "new_loss"),
    [
        ("categorical_crossentropy", ONE_HOT, "softmax", "categorical_crossentropy"),
        ("sparse_categorical_crossentropy", CLASSES, "softmax", "sparse_categorical_crossentropy"),
        ("binary_crossentropy", BINARY, "sigmoid", "binary_crossentropy"),
        ("mse", BINARY, "sigmoid", "binary_crossentropy"),
        ("mse", VALUES, "linear", "mse"),
        ("categorical_crossentropy", MANY_LABELS, "sigmoid", "binary_crossentropy"),
    ],
)
def test_an_output_gets_the_activation_that_loss_and_targets_ask_for(
    loss: str, target: DataSummary, activation: str, new_loss: str
) -> None:
    case = Case(HIDDEN, dense("out", 3, "relu"), loss=loss, target=target)
    fix = case.fix(Cause.OUTPUT_ACTIVATION, layer="out")
    assert (at(fix, "out")["activation"], fix.setup.loss) == (activation, new_loss)
    assert at(fix, "hidden")["activation"] == "relu"
    assert f"relu → {activation}" in fix.description


def test_an_activation_layer_is_changed_in_its_place() -> None:
    case = Case(
        HIDDEN, dense("out", 1), other("Softmax", "end", axis=-1), loss="binary_crossentropy"
    )
    fix = case.fix(Cause.OUTPUT_ACTIVATION, layer="end")
    assert at(fix, "end") == {"name": "end", "activation": "sigmoid"}
    assert entry_named(fix.setup.config, "end")["class_name"] == "Activation"


def test_an_output_whose_loss_takes_logits_is_left_linear() -> None:
    loss = {"class_name": "BinaryCrossentropy", "config": {
        "name": "binary_crossentropy", "from_logits": True}}  # fmt: skip
    case = Case(HIDDEN, dense("out", 1, "sigmoid"), loss=loss)
    fix = case.fix(Cause.ACTIVATION_LOSS_MISMATCH, Symptom.SQUASHED_TWICE, layer="out")
    assert at(fix, "out")["activation"] == "linear"


def test_an_output_that_is_to_be_a_rate_is_made_positive() -> None:
    case = Case(HIDDEN, dense("out", 1), loss="poisson", target=VALUES)
    fix = case.fix(Cause.ACTIVATION_LOSS_MISMATCH, Symptom.NEGATIVE_RATES, layer="out")
    assert (at(fix, "out")["activation"], fix.setup.loss) == ("exponential", "poisson")


@pytest.mark.parametrize(
    ("target", "loss", "activation", "units"),
    [
        (VALUES, "mean_squared_error", "linear", 3),
        (ONE_HOT, "categorical_crossentropy", "softmax", 3),
        (BINARY, "binary_crossentropy", "sigmoid", 3),
        (CLASSES, "sparse_categorical_crossentropy", "softmax", 4),
    ],
)
def test_a_loss_is_replaced_by_the_one_for_its_targets(
    target: DataSummary, loss: str, activation: str, units: int
) -> None:
    case = Case(HIDDEN, dense("out", 3, "tanh"), loss="hinge", target=target)
    fix = case.fix(Cause.LOSS_FUNCTION)
    assert fix.setup.loss == loss
    assert (at(fix, "out")["activation"], at(fix, "out")["units"]) == (activation, units)


def test_an_output_with_too_few_units_gets_one_for_each_class() -> None:
    case = Case(HIDDEN, dense("out", 1, "softmax"), target=CLASSES)
    fix = case.fix(Cause.OUTPUT_SHAPE, Symptom.TOO_FEW_OUTPUTS, layer="out")
    assert at(fix, "out")["units"] == 4


def test_a_narrow_layer_is_widened() -> None:
    case = Case(dense("narrow", 1), dense("out", 1, "sigmoid"))
    fix = case.fix(Cause.OUTPUT_SHAPE, Symptom.NARROW_LAYER, layer="narrow")
    assert at(fix, "narrow")["units"] == 32


def test_shapes_that_layers_were_built_for_are_forgotten_in_every_depth() -> None:
    built = {**dense("inner", 1), "build_config": {"input_shape": [None, 4]}}
    stack = {"layers": [{"class_name": "Sequential", "config": {"layers": [built]}}, built]}
    assert "build_config" not in str(without_shapes(stack))


@pytest.mark.parametrize(("old", "new"), [("sigmoid", "relu"), ("relu", "leaky_relu")])
def test_hidden_layers_activated_alike_are_changed_together(old: str, new: str) -> None:
    case = Case(
        dense("first", 8, old), dense("second", 8, "elu"), dense("third", 8),
        other("Activation", "act", activation=old), dense("out", 1, old),
    )  # fmt: skip
    fix = case.fix(Cause.HIDDEN_ACTIVATION, layer="first")
    changed = [at(fix, name)["activation"] for name in ("first", "second", "third", "act", "out")]
    assert changed == [new, "elu", "linear", new, old]


def test_hidden_layers_without_a_nonlinearity_get_one() -> None:
    case = Case(dense("first", 8), dense("second", 8), dense("out", 1))
    fix = case.fix(Cause.HIDDEN_ACTIVATION, Symptom.NO_NONLINEARITY, layer="first")
    assert [at(fix, name)["activation"] for name in ("first", "second", "out")] == [
        "relu", "relu", "linear",
    ]  # fmt: skip


def test_weights_that_begin_alike_are_drawn_anew_together() -> None:
    zeros = {"kernel_initializer": {"class_name": "Zeros", "config": {}}}
    case = Case(
        dense("first", 8, "relu", **zeros), dense("second", 8), dense("out", 1, "sigmoid", **zeros)
    )
    fix = case.fix(Cause.WEIGHT_INITIALIZATION, layer="first")
    assert fix.setup.redrawn == {"first", "out"}
    assert at(fix, "first")["kernel_initializer"] == "he_normal"
    assert at(fix, "out")["kernel_initializer"] == "glorot_uniform"
    assert "kernel_initializer" not in at(fix, "second")


def test_a_hidden_layer_is_added_before_the_output_of_a_stack() -> None:
    fix = Case(dense("out", 1, "sigmoid")).fix(Cause.MISSING_LAYER)
    assert [name_of(entry) for entry in fix.setup.config["layers"]] == ["whatif_hidden", "out"]
    with pytest.raises(ObstacleError, match="Sequential"):
        Case(dense("out", 1), model_class="Functional").fix(Cause.MISSING_LAYER)


def test_a_layer_too_many_passes_on_what_it_receives() -> None:
    case = Case(HIDDEN, dense("out", 1), other("Dropout", "noise", rate=0.9))
    fix = case.fix(Cause.EXTRA_LAYER, Symptom.NOISE_AFTER_OUTPUT, layer="noise")
    assert entry_named(fix.setup.config, "noise")["class_name"] == "Identity"


@pytest.mark.parametrize("hold", ["kernel_regularizer", "kernel_constraint"])
def test_what_crushes_weights_is_removed_and_its_layer_stays(hold: str) -> None:
    case = Case(dense("hidden", 8, "relu", **{hold: "it"}), dense("out", 1))
    fix = case.fix(Cause.EXTRA_LAYER, Symptom.CRUSHED_WEIGHTS, layer="hidden")
    assert (at(fix, "hidden")[hold], at(fix, "hidden")["units"]) == (None, 8)


@pytest.mark.parametrize(
    ("symptom", "rates"), [(Symptom.LARGE_STEPS, (0.05, 0.005)), (Symptom.SMALL_STEPS, (5.0, 50.0))]
)
def test_a_learning_rate_goes_where_its_symptom_points(
    symptom: Symptom, rates: tuple[float, float]
) -> None:
    forms = Case(HIDDEN, dense("out", 1)).fixes(Cause.LEARNING_RATE, symptom)
    configs = [form.setup.optimizer["config"] for form in forms]
    assert [config["learning_rate"] for config in configs] == pytest.approx(rates)
    assert all(config["momentum"] == 0.9 for config in configs)


def test_an_optimizer_keeps_its_learning_rate_where_its_settings_are_suspected() -> None:
    case = Case(HIDDEN, dense("out", 1))
    fix = case.fix(Cause.OPTIMIZER, Symptom.OPTIMIZER_SETTINGS)
    assert fix.setup.optimizer == {"class_name": "SGD", "config": {"learning_rate": 0.5}}
    assert case.fix(Cause.OPTIMIZER).setup.optimizer["class_name"] == "Adam"


def test_an_unstable_loss_is_computed_from_logits() -> None:
    case = Case(HIDDEN, dense("out", 1, "sigmoid"), loss="binary_crossentropy")
    fix = case.fix(Cause.NUMERICAL_INSTABILITY, target=Target.LOSS)
    assert at(fix, "out")["activation"] == "linear"
    assert fix.setup.loss["config"]["from_logits"] is True
    with pytest.raises(ObstacleError, match="inside the computation"):
        case.fix(Cause.NUMERICAL_INSTABILITY, layer="hidden")


@pytest.mark.parametrize(
    ("cause", "symptom", "changes"),
    [
        (Cause.INPUT_SCALE, Symptom.INPUT_NOT_SCALED, {"scales_inputs": True}),
        (Cause.INPUT_VALUES, Symptom.NON_FINITE, {"drops_nonfinite": True}),
        (Cause.LABEL_ENCODING, Symptom.TARGET_NOT_SCALED, {"scales_targets": True}),
        (Cause.LABEL_ENCODING, Symptom.LABELS_OUT_OF_RANGE, {"indexes_classes": True}),
        (Cause.EPOCHS_OR_BATCH_SIZE, Symptom.FEW_STEPS, {"n_steps": 1000}),
    ],
)
def test_data_and_length_are_changed_beside_the_model(
    cause: Cause, symptom: Symptom, changes: dict[str, Any]
) -> None:
    case = Case(HIDDEN, dense("out", 1))
    assert case.fix(cause, symptom).setup == replace(case.setup, **changes)


REFUSALS: dict[str, tuple[Callable[[], object], str]] = {
    "a cause without a change": (
        lambda: Case(HIDDEN, dense("out", 1)).fixes(Cause.DATA_OTHER),
        "nothing that a replay could change",
    ),
    "what is so already": (
        lambda: Case(HIDDEN, dense("out", 1, "sigmoid"), loss="binary_crossentropy").fixes(
            Cause.OUTPUT_ACTIVATION, layer="out"
        ),
        "change nothing",
    ),
    "an output that is not known": (
        lambda: Case(other("LayerNormalization", "end")).fixes(Cause.OUTPUT_ACTIVATION),
        "no single output layer",
    ),
    "a recurrent output": (
        lambda: Case(other("LSTM", "end", units=1)).fixes(Cause.OUTPUT_ACTIVATION, layer="end"),
        "part of its recurrence",
    ),
    "a layer without units": (
        lambda: Case(other("Flatten", "flat"), dense("out", 1)).fixes(
            Cause.OUTPUT_SHAPE, layer="flat"
        ),
        "no number of units",
    ),
    "a loss that broadcasts": (
        lambda: Case(HIDDEN, dense("out", 1)).fixes(
            Cause.LOSS_FUNCTION, Symptom.BROADCAST_LOSS, target=Target.LOSS
        ),
        "inside a training step",
    ),
    "targets below 0 for a logarithm": (
        lambda: Case(HIDDEN, dense("out", 1), loss="msle").fixes(
            Cause.LABEL_ENCODING, Symptom.TARGET_NOT_SCALED
        ),
        "go below 0",
    ),
    "batches that are too small": (
        lambda: Case(HIDDEN, dense("out", 1)).fixes(
            Cause.EPOCHS_OR_BATCH_SIZE, Symptom.NO_BATCH_VARIANCE
        ),
        "on the batches as they were recorded",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_tried_says_why(name: str) -> None:
    attempt, expected = REFUSALS[name]
    with pytest.raises(ObstacleError, match=expected):
        attempt()


def test_every_cause_has_a_fix_but_those_that_name_no_change() -> None:
    assert set(Cause) - set(FIXES) == {Cause.DATA_OTHER, Cause.UNKNOWN}
