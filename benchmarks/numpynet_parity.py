"""How exact the NumPy network is: against finite differences, and against Keras.

Run from the checkout: ``python benchmarks/numpynet_parity.py``. The cases are those of the tests.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported
sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.recorder.numpynet.cases import LAYER_CASES, LOSS_CASES
from tests.recorder.numpynet.keras_cases import (
    BATCH_SIZE,
    N_STEPS,
    NETWORKS,
    OPTIMIZER_CASES,
    ten_steps_apart,
)


def main() -> None:
    print("gradients (float64) against central differences, extrapolated: largest relative error")
    for case in (*LAYER_CASES, *LOSS_CASES):
        print(f"  {case.name:34}{case.error():10.1e}")
    print()
    print(f"weights after {N_STEPS} steps of {BATCH_SIZE} samples, float32, against Keras:")
    print("largest relative difference")
    print(f"  {'':34}" + "".join(f"{make.__name__:>10}" for make in NETWORKS))
    for optimizer in OPTIMIZER_CASES:
        errors = (f"{ten_steps_apart(make, optimizer):10.1e}" for make in NETWORKS)
        print(f"  {optimizer.name:34}" + "".join(errors))


if __name__ == "__main__":
    main()
