"""Record a training that breaks, ask why, repair it, and ask again.

A small classifier of handwritten digits (scikit-learn's, 8 by 8 pixels) scales its hidden
features to unit length, as many retrieval models do. Whoever wrote that layer forgot that all
features of an image may be zero after a ReLU, and then it divides 0 by 0.

    python examples/demo.py [FOLDER]      # traces go to FOLDER, by default a temporary one
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import keras
from sklearn.datasets import load_digits

from deeplocalize.recorder import Recorder


class UnitLength(keras.layers.Layer):
    """Scales each row to length 1."""

    def __init__(self, epsilon: float = 0.0, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def call(self, x):
        return x / (keras.ops.norm(x, axis=-1, keepdims=True) + self.epsilon)


def train(trace: Path, epsilon: float) -> None:
    """Train for three epochs of 57 batches and record every one of them."""
    x, y = load_digits(return_X_y=True)
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(32, activation="relu", name="hidden"),
            keras.layers.Dense(8, activation="relu", name="embedding"),
            UnitLength(epsilon, name="unit_length"),
            keras.layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    history = model.fit(
        x / 16, y, batch_size=32, epochs=3, verbose=0, callbacks=[Recorder(trace, overwrite=True)]
    )
    print(f"trained 3 epochs, the loss is now {history.history['loss'][-1]:.2f}\n")


def analyze(trace: Path) -> None:
    """Run the analyzer as a user would."""
    print(f"$ deeplocalize-analyze {trace.name}", flush=True)
    command = Path(sys.executable).with_name("deeplocalize-analyze")
    subprocess.run([str(command), trace.name], cwd=trace.parent, check=False)


def main(folder: Path) -> None:
    print("1. A network that divides by the length of its features\n")
    train(folder / "broken.h5", epsilon=0.0)
    analyze(folder / "broken.h5")
    print("\n2. The same network, with a small epsilon added to the length\n")
    train(folder / "repaired.h5", epsilon=1e-6)
    analyze(folder / "repaired.h5")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
