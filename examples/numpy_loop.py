"""A hand-written training loop in NumPy that records a trace.

``python examples/numpy_loop.py run.h5`` trains; with ``--fault`` its softmax is the textbook
formula, whose exponentials overflow. Then: ``deeplocalize-analyze run.h5``.
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits

from deeplocalize.recorder import LoopRecorder

EPOCHS, BATCH_SIZE, LEARNING_RATE = 8, 32, 5e-4


def stable_softmax(z):
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def textbook_softmax(z):
    p = np.exp(z)
    return p / p.sum(axis=1, keepdims=True)


def train(path: str, softmax) -> None:
    digits = load_digits()
    x_train = (16 * digits.data).astype("float32")  # bytes, as images mostly come
    y_train = np.eye(10, dtype="float32")[digits.target]
    rng = np.random.default_rng(0)
    w1 = rng.normal(0, np.sqrt(2 / 64), (64, 32)).astype("float32")
    w2 = rng.normal(0, np.sqrt(2 / 32), (32, 10)).astype("float32")

    layers = {"hidden": "relu", "classes": "softmax"}
    with LoopRecorder(path, layers, loss="categorical_crossentropy", overwrite=True) as recorder:
        for epoch in range(EPOCHS):
            order = rng.permutation(len(x_train))
            losses = []
            for start in range(0, len(order), BATCH_SIZE):
                batch = order[start : start + BATCH_SIZE]
                x, y = x_train[batch], y_train[batch]

                recorder.begin_iteration(epoch)
                recorder.tap("input", x)
                recorder.tap("label", y)
                recorder.tap("weight", w1, "hidden", "kernel")
                recorder.tap("weight", w2, "classes", "kernel")

                z1 = x @ w1
                a1 = np.maximum(z1, 0)
                z2 = a1 @ w2
                p = softmax(z2)
                loss = -np.log(np.maximum((p * y).sum(axis=1), 1e-7)).mean()
                recorder.tap("preactivation", z1, "hidden")
                recorder.tap("output", a1, "hidden")
                recorder.tap("preactivation", z2, "classes")
                recorder.tap("output", p, "classes")
                recorder.tap("loss", loss)

                dz2 = (p - y) / len(x)
                dw2 = a1.T @ dz2
                da1 = dz2 @ w2.T
                dw1 = x.T @ (da1 * (z1 > 0))
                recorder.tap("preactivation_gradient", dz2, "classes")
                recorder.tap("weight_gradient", dw2, "classes", "kernel")
                recorder.tap("output_gradient", da1, "hidden")
                recorder.tap("weight_gradient", dw1, "hidden", "kernel")

                w1 -= LEARNING_RATE * dw1
                w2 -= LEARNING_RATE * dw2
                recorder.tap("weight_update", -LEARNING_RATE * dw1, "hidden", "kernel")
                recorder.tap("weight_update", -LEARNING_RATE * dw2, "classes", "kernel")
                recorder.end_iteration(LEARNING_RATE)
                losses.append(loss)
            print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", nargs="?", default="loop.h5", help="where the trace goes")
    parser.add_argument("--fault", action="store_true", help="overflow in the softmax")
    arguments = parser.parse_args()
    train(arguments.path, textbook_softmax if arguments.fault else stable_softmax)
