"""Ordinary good trainings: heads and losses, kinds of network, optimizers, short and long."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from .program import Case, Group, Layer, Program

SEEDS = (0, 1)

ADAM = {"class": "Adam", "learning_rate": 0.003}


def dense(*widths: int, activation: str = "relu", **arguments: Any) -> tuple[Layer, ...]:
    """Dense layers of the given widths."""
    return tuple(
        {"class": "Dense", "units": width, "activation": activation, **arguments}
        for width in widths
    )


def head(units: int, activation: str = "linear") -> Layer:
    """The last layer."""
    return {"class": "Dense", "units": units, "activation": activation}


def layer(class_name: str, **arguments: Any) -> Layer:
    """Any layer."""
    return {"class": class_name, **arguments}


def _program(
    layers: tuple[Layer, ...], loss: str, task: Mapping[str, Any], **settings: Any
) -> Program:
    is_regression = loss in _REGRESSIONS
    settings.setdefault("metrics", ("mae",) if is_regression else ("accuracy",))
    settings.setdefault("optimizer", ADAM)
    return Program(layers, loss, task=task, **settings)


_REGRESSIONS = frozenset(
    {"mean_squared_error", "mae", "huber", "log_cosh", "poisson", "mse", "mean_absolute_error"}
)

DIGITS = {"name": "table", "dataset": "digits"}
DIGITS_ONEHOT = {**DIGITS, "coding": "onehot"}
DIGIT_IMAGES = {"name": "digit_images"}
INFORMATIVE = {"name": "informative", "n": 800, "n_features": 12, "n_classes": 4}
FRIEDMAN = {"name": "friedman", "n": 800}
TAGS = {"name": "tags", "n": 800}
MOONS = {"name": "moons", "n": 800}
CIRCLES = {"name": "circles", "n": 800}
SENTENCES = {"name": "sentences", "n": 640, "length": 20}
WAVES = {"name": "waves", "n": 480, "length": 24}
BARS = {"name": "bars", "n": 480, "side": 12}

POOL = layer("MaxPooling2D", pool_size=2)
FLAT = layer("Flatten")
NORM = layer("BatchNormalization")


def _conv(filters: int, **arguments: Any) -> Layer:
    return layer("Conv2D", filters=filters, kernel_size=3, **{"activation": "relu", **arguments})


SPARSE = "sparse_categorical_crossentropy"
ONEHOT = "categorical_crossentropy"
BINARY = "binary_crossentropy"

PROGRAMS: dict[str, Program] = {
    # Heads and losses.
    "mlp_sparse": _program((*dense(64, 32), head(10, "softmax")), SPARSE, DIGITS, n_epochs=8),
    "mlp_onehot": _program(
        (*dense(48, 24), head(4, "softmax")), ONEHOT, {**INFORMATIVE, "coding": "onehot"},
        n_epochs=16,
    ),
    "mlp_sparse_logits": _program(
        (*dense(64), head(10)), "sparse_from_logits", DIGITS, n_epochs=8
    ),
    "mlp_onehot_logits": _program(
        (*dense(64), head(10)), "categorical_from_logits", DIGITS_ONEHOT, n_epochs=8
    ),
    "mlp_binary": _program((*dense(32, 16), head(1, "sigmoid")), BINARY, MOONS, n_epochs=20),
    "mlp_binary_logits": _program(
        (*dense(32), head(1)), "binary_from_logits", CIRCLES, n_epochs=25
    ),
    "mlp_two_softmax": _program(
        (*dense(32), head(2, "softmax")), ONEHOT, {**CIRCLES, "coding": "onehot"}, n_epochs=20
    ),
    "mlp_tags": _program((*dense(64), head(6, "sigmoid")), BINARY, TAGS, n_epochs=20),
    "mlp_regression": _program((*dense(48, 24), head(1)), "mse", FRIEDMAN, n_epochs=20),
    "mlp_mae": _program((*dense(48), head(1)), "mae", FRIEDMAN, n_epochs=20),
    "mlp_huber": _program((*dense(48), head(1)), "huber", FRIEDMAN, n_epochs=20),
    "mlp_houses": _program((*dense(48, 24), head(1)), "mse", {"name": "houses", "n": 800},
                           n_epochs=30),
    "mlp_counts": _program(
        (*dense(32), head(1, "softplus")), "poisson", {"name": "counts", "n": 800}, n_epochs=20
    ),
    "mlp_several": _program((*dense(64), head(5)), "mse", {"name": "several", "n": 800},
                            n_epochs=20),
    "mlp_kl": _program(
        (*dense(64), head(10, "softmax")), "kl_divergence", DIGITS_ONEHOT, n_epochs=8
    ),
    "mlp_sine": _program(
        (*dense(32, 32, activation="tanh"), head(1)), "mse", {"name": "sine", "n": 600},
        n_epochs=40, optimizer={"class": "Adam", "learning_rate": 0.01},
    ),
    "mlp_bounded": _program(
        (*dense(32), head(1, "tanh")), "mse", {"name": "sine", "n": 600}, n_epochs=40,
        optimizer={"class": "Adam", "learning_rate": 0.01},
    ),
    "separate_activations": _program(
        (
            layer("Dense", units=48), layer("Activation", activation="relu"),
            layer("Dense", units=10), layer("Activation", activation="softmax"),
        ),
        SPARSE, DIGITS, n_epochs=8,
    ),
    "softmax_layer": _program(
        (layer("Dense", units=48), layer("ReLU"), layer("Dense", units=10), layer("Softmax")),
        ONEHOT, DIGITS_ONEHOT, n_epochs=8,
    ),
    # Real tables.
    "iris": _program(
        (*dense(16), head(3, "softmax")), SPARSE, {"name": "table", "dataset": "iris"},
        n_epochs=60, batch_size=16, optimizer={"class": "Adam", "learning_rate": 0.01},
    ),
    "wine": _program(
        (*dense(16), head(3, "softmax")), ONEHOT,
        {"name": "table", "dataset": "wine", "coding": "onehot"}, n_epochs=30, batch_size=16,
    ),
    "breast_cancer": _program(
        (*dense(16, 8), head(1, "sigmoid")), BINARY,
        {"name": "table", "dataset": "breast_cancer", "coding": "binary"}, n_epochs=15,
    ),
    "diabetes": _program(
        (*dense(16), head(1)), "mse", {"name": "table", "dataset": "diabetes"}, n_epochs=30
    ),
    "logistic_regression": _program(
        (head(10, "softmax"),), SPARSE, DIGITS, n_epochs=12,
        optimizer={"class": "Adam", "learning_rate": 0.01},
    ),
    "linear_regression": _program(
        (head(1),), "mse", {"name": "table", "dataset": "diabetes"}, n_epochs=30,
        optimizer={"class": "SGD", "learning_rate": 0.02},
    ),
    "rare_class": _program(
        (*dense(32), head(1, "sigmoid")), BINARY, {"name": "rare", "n": 1000}, n_epochs=15
    ),
    # Activations, depth, regularisation.
    "mlp_tanh": _program(
        (*dense(48, 24, activation="tanh"), head(10, "softmax")), SPARSE, DIGITS, n_epochs=8
    ),
    "mlp_sigmoid": _program(
        (*dense(32, activation="sigmoid"), head(10, "softmax")), SPARSE, DIGITS, n_epochs=12,
        optimizer={"class": "Adam", "learning_rate": 0.01},
    ),
    "mlp_elu": _program(
        (*dense(48, 24, activation="elu"), head(4, "softmax")), SPARSE,
        {**INFORMATIVE, "coding": "sparse"}, n_epochs=16,
    ),
    "mlp_deep": _program(
        (*dense(*[32] * 6, kernel_initializer="he_normal"), head(10, "softmax")), SPARSE, DIGITS,
        n_epochs=10,
    ),
    "mlp_batchnorm": _program(
        (
            layer("Dense", units=48, use_bias=False), NORM, layer("Activation", activation="relu"),
            layer("Dense", units=24, use_bias=False), NORM, layer("Activation", activation="relu"),
            head(10, "softmax"),
        ),
        SPARSE, DIGITS, n_epochs=8,
    ),
    "mlp_dropout": _program(
        (*dense(96), layer("Dropout", rate=0.4), *dense(48), layer("Dropout", rate=0.4),
         head(10, "softmax")),
        SPARSE, DIGITS, n_epochs=10,
    ),
    "mlp_weight_decay": _program(
        (*dense(48, 24, kernel_regularizer="l2"), head(4, "softmax")), SPARSE,
        {**INFORMATIVE, "coding": "sparse"}, n_epochs=16,
    ),
    "mlp_layernorm": _program(
        (*dense(48), layer("LayerNormalization"), *dense(24, activation="gelu"),
         head(6, "sigmoid")),
        BINARY, TAGS, n_epochs=20,
    ),
    "self_normalising": _program(
        (*dense(48, 24, activation="selu", kernel_initializer="lecun_normal"), head(1)), "mse",
        FRIEDMAN, n_epochs=20,
    ),
    # Images.
    "cnn_digits": _program(
        (_conv(8), POOL, _conv(16), FLAT, head(10, "softmax")), SPARSE, DIGIT_IMAGES, n_epochs=8
    ),
    "cnn_bars": _program(
        (_conv(8), POOL, _conv(16), POOL, FLAT, *dense(32), head(3, "softmax")), ONEHOT,
        {**BARS, "coding": "onehot"}, n_epochs=20,
    ),
    "cnn_batchnorm": _program(
        (
            _conv(8, activation="linear"), NORM, layer("ReLU"), POOL,
            _conv(16, activation="linear"), NORM, layer("ReLU"),
            layer("GlobalAveragePooling2D"), head(10, "softmax"),
        ),
        SPARSE, DIGIT_IMAGES, n_epochs=10,
    ),
    "cnn_residual": _program(
        (
            _conv(8, padding="same"),
            layer("Residual", layers=(_conv(8, padding="same"), _conv(8, padding="same"))),
            layer("Residual", layers=(_conv(8, padding="same"), NORM)),
            POOL, FLAT, head(10, "softmax"),
        ),
        SPARSE, DIGIT_IMAGES, n_epochs=6,
    ),
    "cnn_denoising": _program(
        (_conv(8, padding="same"), _conv(8, padding="same"),
         _conv(1, padding="same", activation="sigmoid")),
        "mse", {"name": "denoising", "n": 320, "side": 12}, n_epochs=25, batch_size=16,
    ),
    "autoencoder": _program(
        (*dense(32, 12), *dense(32), head(64, "sigmoid")), "mse", {"name": "digit_copies"},
        n_epochs=10,
    ),
    # Sequences.
    "lstm_waves": _program(
        (layer("LSTM", units=16), head(3, "softmax")), SPARSE, WAVES, n_epochs=25,
        optimizer={"class": "Adam", "learning_rate": 0.01},
    ),
    "gru_forecast": _program(
        (layer("GRU", units=16), head(1)), "mse", {"name": "forecast", "n": 480, "length": 16},
        n_epochs=20,
    ),
    "rnn_waves": _program(
        (layer("SimpleRNN", units=24), head(3, "softmax")), ONEHOT, {**WAVES, "coding": "onehot"},
        n_epochs=25,
    ),
    "conv1d_waves": _program(
        (
            layer("Conv1D", filters=12, kernel_size=5, activation="relu"),
            layer("MaxPooling1D", pool_size=2),
            layer("Conv1D", filters=12, kernel_size=3, activation="relu"),
            layer("GlobalMaxPooling1D"), head(3, "softmax"),
        ),
        SPARSE, WAVES, n_epochs=20,
    ),
    "embedding": _program(
        (layer("Embedding", input_dim=200, output_dim=16), layer("GlobalAveragePooling1D"),
         *dense(16), head(1, "sigmoid")),
        BINARY, SENTENCES, n_epochs=20,
    ),
    "embedding_lstm": _program(
        (layer("Embedding", input_dim=200, output_dim=16), layer("LSTM", units=16),
         head(4, "softmax")),
        SPARSE, {**SENTENCES, "coding": "sparse"}, n_epochs=20,
        optimizer={"class": "Adam", "learning_rate": 0.01},
    ),
    "bidirectional_tagging": _program(
        (
            layer("Embedding", input_dim=30, output_dim=16),
            layer("Bidirectional", layer={"class": "GRU", "units": 16, "return_sequences": True}),
            head(3, "softmax"),
        ),
        SPARSE, {"name": "tagging", "n": 400, "length": 10}, n_epochs=30,
        optimizer={"class": "Adam", "learning_rate": 0.01},
    ),
    "transformer": _program(
        (
            layer("TokensAndPlaces", n_tokens=200, length=20, width=16),
            layer("SelfAttention", n_heads=2, width=16),
            layer("GlobalAveragePooling1D"), head(4, "softmax"),
        ),
        SPARSE, {**SENTENCES, "coding": "sparse"}, n_epochs=15,
    ),
    # Optimizers at their usual rates.
    "sgd": _program(
        (*dense(48), head(10, "softmax")), SPARSE, DIGITS, n_epochs=15,
        optimizer={"class": "SGD", "learning_rate": 0.1},
    ),
    "sgd_momentum": _program(
        (*dense(48, 24), head(10, "softmax")), ONEHOT, DIGITS_ONEHOT, n_epochs=10,
        optimizer={"class": "SGD", "learning_rate": 0.05, "momentum": 0.9},
    ),
    "sgd_nesterov": _program(
        (*dense(32), head(1)), "mse", FRIEDMAN, n_epochs=20,
        optimizer={"class": "SGD", "learning_rate": 0.01, "momentum": 0.9, "nesterov": True},
    ),
    "rmsprop": _program(
        (*dense(32, 16), head(1, "sigmoid")), BINARY, MOONS, n_epochs=20,
        optimizer={"class": "RMSprop", "learning_rate": 0.003},
    ),
    "adamw": _program(
        (*dense(48), head(6, "sigmoid")), BINARY, TAGS, n_epochs=20,
        optimizer={"class": "AdamW", "learning_rate": 0.003},
    ),
    "adagrad": _program(
        (*dense(48), head(10, "softmax")), SPARSE, DIGITS, n_epochs=10,
        optimizer={"class": "Adagrad", "learning_rate": 0.05},
    ),
    "nadam": _program(
        (*dense(48), head(1)), "log_cosh", FRIEDMAN, n_epochs=20,
        optimizer={"class": "Nadam", "learning_rate": 0.003},
    ),
    "adamax": _program(
        (*dense(48), head(10, "softmax")), SPARSE, DIGITS, n_epochs=10,
        optimizer={"class": "Adamax", "learning_rate": 0.005},
    ),
    "adadelta": _program(
        (*dense(48), head(10, "softmax")), SPARSE, DIGITS, n_epochs=12,
        optimizer={"class": "Adadelta", "learning_rate": 1.0},
    ),
    "lion": _program(
        (*dense(48), head(10, "softmax")), SPARSE, DIGITS, n_epochs=10,
        optimizer={"class": "Lion", "learning_rate": 0.0005},
    ),
    # Lengths and batches.
    "short": _program(
        (*dense(64), head(10, "softmax")), SPARSE, DIGITS, n_epochs=2,
        optimizer={"class": "Adam", "learning_rate": 0.01},
    ),
    "long": _program((*dense(32), head(1)), "mse", FRIEDMAN, n_epochs=100),
    "converged": _program(
        (*dense(32), head(3, "softmax")), SPARSE, {"name": "table", "dataset": "wine"},
        n_epochs=150, batch_size=16,
    ),
    "full_batch": _program(
        (*dense(32), head(3, "softmax")), SPARSE, {"name": "table", "dataset": "iris"},
        n_epochs=400, batch_size=150, optimizer={"class": "Adam", "learning_rate": 0.01},
    ),
    "batch_of_four": _program(
        (*dense(16), head(1, "sigmoid")), BINARY, {**MOONS, "n": 400}, n_epochs=8, batch_size=4,
        optimizer={"class": "Adam", "learning_rate": 0.005},
    ),
}  # fmt: skip


def seeded(name: str, seed: int) -> Program:
    """A healthy program with its weights, and its data where they are drawn, from a seed."""
    program, is_real = PROGRAMS[name], PROGRAMS[name].task["name"] in _REAL
    task = program.task if is_real else {**program.task, "seed": seed}
    return replace(program, seed=seed, task=task)


_REAL = frozenset({"table", "digit_images", "digit_copies"})


def cases() -> Iterator[Case]:
    """Every healthy program with every seed."""
    for name in PROGRAMS:
        for seed in SEEDS:
            yield Case(f"{name}/{seed}", Group.HEALTHY, seeded(name, seed))
