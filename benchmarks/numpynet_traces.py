"""The same training recorded in Keras and in the NumPy network: how far the traces are apart.

Run from the checkout: ``python benchmarks/numpynet_traces.py``. The networks are those of the
tests. Every tensor of every batch is compared; a line shows the largest difference of a series,
relative to the largest magnitude in the tensor.
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported
sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.recorder.numpynet.trace_cases import BATCH_SIZE, N_BATCHES, NETWORKS, TOLERANCE, compare


def main() -> None:
    print(f"{N_BATCHES} batches of {BATCH_SIZE}, float32, tolerance {TOLERANCE:.0e}")
    for make in NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            comparison = compare(make, Path(folder))
        print(f"\n{make.__name__}: {'series':46}{'tensors':>8}{'apart':>10}")
        for difference in comparison.differences:
            print(f"  {difference.series:49}{difference.n_tensors:8}{difference.largest:10.1e}")
        print(f"  only in Keras's trace: {', '.join(comparison.only_in_keras) or 'nothing'}")
        print(f"  only in NumPy's trace: {', '.join(comparison.only_in_numpy) or 'nothing'}")
        if comparison.left_out:
            print(f"  left out by Keras's recorder: {', '.join(comparison.left_out)}")


if __name__ == "__main__":
    main()
