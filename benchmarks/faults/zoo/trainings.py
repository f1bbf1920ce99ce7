"""Healthy programs with many optimizers, learning rates, lengths and batches."""

from ..program import Program
from .notation import (
    BINARY,
    DIGITS,
    DIGITS_ONEHOT,
    FAST_ADAM,
    FRIEDMAN,
    MOONS,
    ONEHOT,
    SPARSE,
    TAGS,
    dense,
    head,
    program,
)

PROGRAMS: dict[str, Program] = {
    # Optimizers at their usual rates.
    "sgd": program(
        (*dense(48), head(10, "softmax")), SPARSE, DIGITS, n_epochs=15,
        optimizer={"class": "SGD", "learning_rate": 0.1},
    ),
    "sgd_momentum": program(
        (*dense(48, 24), head(10, "softmax")), ONEHOT, DIGITS_ONEHOT, n_epochs=10,
        optimizer={"class": "SGD", "learning_rate": 0.05, "momentum": 0.9},
    ),
    "sgd_nesterov": program(
        (*dense(32), head(1)), "mse", FRIEDMAN, n_epochs=20,
        optimizer={"class": "SGD", "learning_rate": 0.01, "momentum": 0.9, "nesterov": True},
    ),
    "rmsprop": program(
        (*dense(32, 16), head(1, "sigmoid")), BINARY, MOONS, n_epochs=20,
        optimizer={"class": "RMSprop", "learning_rate": 0.003},
    ),
    "adamw": program(
        (*dense(48), head(6, "sigmoid")), BINARY, TAGS, n_epochs=20,
        optimizer={"class": "AdamW", "learning_rate": 0.003},
    ),
    "adagrad": program(
        (*dense(48), head(10, "softmax")), SPARSE, DIGITS, n_epochs=10,
        optimizer={"class": "Adagrad", "learning_rate": 0.05},
    ),
    "nadam": program(
        (*dense(48), head(1)), "log_cosh", FRIEDMAN, n_epochs=20,
        optimizer={"class": "Nadam", "learning_rate": 0.003},
    ),
    "adamax": program(
        (*dense(48), head(10, "softmax")), SPARSE, DIGITS, n_epochs=10,
        optimizer={"class": "Adamax", "learning_rate": 0.005},
    ),
    "adadelta": program(
        (*dense(48), head(10, "softmax")), SPARSE, DIGITS, n_epochs=12,
        optimizer={"class": "Adadelta", "learning_rate": 1.0},
    ),
    "lion": program(
        (*dense(48), head(10, "softmax")), SPARSE, DIGITS, n_epochs=10,
        optimizer={"class": "Lion", "learning_rate": 0.0005},
    ),
    "cosine_decay": program(
        (*dense(48), head(10, "softmax")), SPARSE, DIGITS, n_epochs=10,
        optimizer={"class": "SGD", "momentum": 0.9, "learning_rate": {
            "class": "CosineDecay", "initial_learning_rate": 0.1, "decay_steps": 560}},
    ),
    "warm_up": program(
        (*dense(48), head(10, "softmax")), SPARSE, DIGITS, n_epochs=10,
        optimizer={"class": "Adam", "learning_rate": {
            "class": "CosineDecay", "initial_learning_rate": 0.0, "warmup_target": 0.005,
            "warmup_steps": 120, "decay_steps": 440}},
    ),
    "clipped": program(
        (*dense(48, 24), head(1)), "mse", FRIEDMAN, n_epochs=20,
        optimizer={"class": "SGD", "learning_rate": 0.05, "clipnorm": 1.0},
    ),
    "slow_and_steady": program(
        (*dense(32), head(3, "softmax")), SPARSE, {"name": "table", "dataset": "wine"},
        n_epochs=80, batch_size=16, optimizer={"class": "Adam", "learning_rate": 0.0003},
    ),
    # Lengths and batches.
    "short": program(
        (*dense(64), head(10, "softmax")), SPARSE, DIGITS, n_epochs=2,
        optimizer=FAST_ADAM,
    ),
    "long": program((*dense(32), head(1)), "mse", FRIEDMAN, n_epochs=100),
    "converged": program(
        (*dense(32), head(3, "softmax")), SPARSE, {"name": "table", "dataset": "wine"},
        n_epochs=150, batch_size=16,
    ),
    "full_batch": program(
        (*dense(32), head(3, "softmax")), SPARSE, {"name": "table", "dataset": "iris"},
        n_epochs=400, batch_size=150, optimizer=FAST_ADAM,
    ),
    "batch_of_four": program(
        (*dense(16), head(1, "sigmoid")), BINARY, {**MOONS, "n": 400}, n_epochs=8, batch_size=4,
        optimizer={"class": "Adam", "learning_rate": 0.005},
    ),
    "batch_of_one": program(
        (*dense(12), head(3, "softmax")), SPARSE, {"name": "table", "dataset": "iris"},
        n_epochs=8, batch_size=1, optimizer={"class": "SGD", "learning_rate": 0.02},
    ),
    "overfitted": program(
        (*dense(96, 96), head(1)), "mse", {**FRIEDMAN, "n": 64}, n_epochs=200, batch_size=16
    ),
}  # fmt: skip
