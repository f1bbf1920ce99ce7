"""Healthy programs with every head and loss, on synthetic data and on real tables."""

from ..program import Program
from .notation import (
    BINARY,
    CIRCLES,
    DIGITS,
    DIGITS_ONEHOT,
    FAST_ADAM,
    FRIEDMAN,
    INFORMATIVE,
    MOONS,
    NORM,
    ONEHOT,
    SPARSE,
    TAGS,
    dense,
    head,
    layer,
    program,
)

PROGRAMS: dict[str, Program] = {
    # Heads and losses.
    "mlp_sparse": program((*dense(64, 32), head(10, "softmax")), SPARSE, DIGITS, n_epochs=8),
    "mlp_onehot": program(
        (*dense(48, 24), head(4, "softmax")), ONEHOT, {**INFORMATIVE, "coding": "onehot"},
        n_epochs=16,
    ),
    "mlp_sparse_logits": program(
        (*dense(64), head(10)), "sparse_from_logits", DIGITS, n_epochs=8
    ),
    "mlp_onehot_logits": program(
        (*dense(64), head(10)), "categorical_from_logits", DIGITS_ONEHOT, n_epochs=8
    ),
    "mlp_binary": program((*dense(32, 16), head(1, "sigmoid")), BINARY, MOONS, n_epochs=20),
    "mlp_binary_logits": program(
        (*dense(32), head(1)), "binary_from_logits", CIRCLES, n_epochs=25
    ),
    "mlp_two_softmax": program(
        (*dense(32), head(2, "softmax")), ONEHOT, {**CIRCLES, "coding": "onehot"}, n_epochs=20
    ),
    "mlp_tags": program((*dense(64), head(6, "sigmoid")), BINARY, TAGS, n_epochs=20),
    "mlp_regression": program((*dense(48, 24), head(1)), "mse", FRIEDMAN, n_epochs=20),
    "mlp_mae": program((*dense(48), head(1)), "mae", FRIEDMAN, n_epochs=20),
    "mlp_huber": program((*dense(48), head(1)), "huber", FRIEDMAN, n_epochs=20),
    "mlp_houses": program((*dense(48, 24), head(1)), "mse", {"name": "houses", "n": 800},
                           n_epochs=30),
    "mlp_counts": program(
        (*dense(32), head(1, "softplus")), "poisson", {"name": "counts", "n": 800}, n_epochs=20
    ),
    "mlp_several": program((*dense(64), head(5)), "mse", {"name": "several", "n": 800},
                            n_epochs=20),
    "mlp_kl": program(
        (*dense(64), head(10, "softmax")), "kl_divergence", DIGITS_ONEHOT, n_epochs=8
    ),
    "mlp_sine": program(
        (*dense(32, 32, activation="tanh"), head(1)), "mse", {"name": "sine", "n": 600},
        n_epochs=40, optimizer=FAST_ADAM,
    ),
    "mlp_bounded": program(
        (*dense(32), head(1, "tanh")), "mse", {"name": "sine", "n": 600}, n_epochs=40,
        optimizer=FAST_ADAM,
    ),
    "separate_activations": program(
        (
            layer("Dense", units=48), layer("Activation", activation="relu"),
            layer("Dense", units=10), layer("Activation", activation="softmax"),
        ),
        SPARSE, DIGITS, n_epochs=8,
    ),
    "softmax_layer": program(
        (layer("Dense", units=48), layer("ReLU"), layer("Dense", units=10), layer("Softmax")),
        ONEHOT, DIGITS_ONEHOT, n_epochs=8,
    ),
    "mlp_smoothed": program(
        (*dense(48), head(10, "softmax")), "smoothed_cross_entropy", DIGITS_ONEHOT, n_epochs=10
    ),
    "mlp_focal": program(
        (*dense(32), head(1, "sigmoid")), "binary_focal_crossentropy", {"name": "rare", "n": 1000},
        n_epochs=20, optimizer=FAST_ADAM,
    ),
    "mlp_hinge": program(
        (*dense(32, 16), head(1, "tanh")), "hinge", {**MOONS, "coding": "signed"}, n_epochs=20
    ),
    "mlp_cosine": program(
        (*dense(64), head(5)), "cosine_similarity", {"name": "several", "n": 800}, n_epochs=20
    ),
    "mlp_squared_logarithms": program(
        (*dense(32), head(1, "softplus")), "mean_squared_logarithmic_error",
        {"name": "counts", "n": 800}, n_epochs=25,
    ),
    "mlp_noisy": program(
        (*dense(24), head(1)), "mse", {**FRIEDMAN, "noise": 4.0}, n_epochs=25
    ),
    "mlp_very_noisy": program(
        (*dense(24), head(1)), "mse", {**FRIEDMAN, "noise": 6.0}, n_epochs=25
    ),
    "mlp_noisy_classes": program(
        (*dense(24), head(1, "sigmoid")), BINARY, {**MOONS, "noise": 0.6}, n_epochs=20
    ),
    # Real tables.
    "iris": program(
        (*dense(16), head(3, "softmax")), SPARSE, {"name": "table", "dataset": "iris"},
        n_epochs=60, batch_size=16, optimizer=FAST_ADAM,
    ),
    "wine": program(
        (*dense(16), head(3, "softmax")), ONEHOT,
        {"name": "table", "dataset": "wine", "coding": "onehot"}, n_epochs=30, batch_size=16,
    ),
    "breast_cancer": program(
        (*dense(16, 8), head(1, "sigmoid")), BINARY,
        {"name": "table", "dataset": "breast_cancer", "coding": "binary"}, n_epochs=15,
    ),
    "diabetes": program(
        (*dense(16), head(1)), "mse", {"name": "table", "dataset": "diabetes"}, n_epochs=30
    ),
    "logistic_regression": program(
        (head(10, "softmax"),), SPARSE, DIGITS, n_epochs=12,
        optimizer=FAST_ADAM,
    ),
    "linear_regression": program(
        (head(1),), "mse", {"name": "table", "dataset": "diabetes"}, n_epochs=30,
        optimizer={"class": "SGD", "learning_rate": 0.02},
    ),
    "rare_class": program(
        (*dense(32), head(1, "sigmoid")), BINARY, {"name": "rare", "n": 1000}, n_epochs=15
    ),
    "raw_wine": program(
        (NORM, *dense(16), head(3, "softmax")), SPARSE,
        {"name": "table", "dataset": "wine", "is_raw": True}, n_epochs=40, batch_size=16,
    ),
    "raw_tumours": program(
        (NORM, *dense(16), head(1, "sigmoid")), BINARY,
        {"name": "table", "dataset": "breast_cancer", "coding": "binary", "is_raw": True},
        n_epochs=15,
    ),
    "raw_digits": program(
        (*dense(48), head(10, "softmax")), SPARSE, {**DIGITS, "is_raw": True}, n_epochs=8
    ),
    "uneven_classes": program(
        (*dense(32), head(4, "softmax")), SPARSE, {"name": "uneven", "n": 1000}, n_epochs=25
    ),
}  # fmt: skip
