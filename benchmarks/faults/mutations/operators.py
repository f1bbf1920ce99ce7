"""The operators: what is done to which healthy programs, and where."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..program import Program
from ..zoo import SEEDS
from .changes import (
    Change,
    after,
    bottleneck,
    buried_bias,
    constant,
    distorted,
    every_hidden_activation,
    few_updates,
    fewer_units,
    from_logits,
    hidden_activation,
    initializer,
    learning_rate,
    loss,
    no_hidden_layer,
    normal,
    one_unit,
    operation,
    optimizer,
    out_of_range_labels,
    output_activation,
    regularizer,
    relu_on_logits,
    unguarded_loss,
)
from .places import hidden, middle, output, whole


@dataclass(frozen=True)
class Operator:
    """One way to break a program, the places it can be done at, and what it is done to."""

    name: str
    change: Change
    parents: tuple[str, ...]
    places: Callable[[Program], Sequence[int]]
    seeds: tuple[int, ...] = SEEDS


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
    Operator("equal_kernel", initializer(constant(0.3)),
             ("mlp_sparse", "mlp_onehot", "cnn_digits"), hidden),
    Operator("huge_kernel", initializer(normal(20.0)),
             ("mlp_sparse", "mlp_regression", "mlp_deep"), hidden),
    Operator("tiny_kernel", initializer(normal(1e-9)), ("mlp_deep", "sgd_momentum"), hidden),
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
    Operator("logarithm_of_zero", after(operation("log"), "numerical_instability"),
             ("mlp_sparse", "mlp_tags"), hidden),
    Operator("root_of_zero", after(operation("sqrt"), "numerical_instability"),
             ("mlp_regression", "mlp_onehot"), hidden),
    Operator("one_over_zero", after(operation("inverse"), "numerical_instability"),
             ("mlp_several", "cnn_bars"), hidden, (0,)),
    Operator("unguarded_loss", unguarded_loss, ("mlp_binary", "breast_cancer"), whole),
)  # fmt: skip
