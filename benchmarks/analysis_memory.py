"""Peak memory and time of analysing a short and a long trace of the same network.

``python benchmarks/analysis_memory.py`` writes traces of 100 and of 100,000 iterations through
the real HDF5 writer and analyses each in a process of its own.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from deeplocalize.analyzer import analyze
from deeplocalize.traces import ITERATIONS, STATISTICS, Block, Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.long_traces import write

BLOCK_ROWS = 500


def block(n_series: int, start: int, stop: int) -> Block:
    """Healthy statistics for some iterations."""
    random = np.random.default_rng(start)
    n_rows = stop - start
    shape = (n_rows, n_series)
    iterations = {column.name: np.ones(n_rows, dtype=column.numpy_dtype) for column in ITERATIONS}
    iterations["iteration"] = np.arange(start, stop)
    iterations["n_nonfinite_series"] = np.zeros(n_rows, dtype=np.int64)
    iterations["loss"] = 1 / (1 + np.arange(start, stop) / 1000)
    statistics = {column.name: np.zeros(shape, dtype=column.numpy_dtype) for column in STATISTICS}
    statistics["n"] += 4096
    statistics["rms"] += random.uniform(0.01, 0.02, shape)
    return Block(
        Table(ITERATIONS, iterations), iterations["iteration"], Table(STATISTICS, statistics)
    )


def measure(path: Path) -> None:
    """Analyse a trace in this process and print what it took."""
    before_s = time.perf_counter()
    diagnosis = analyze(path)
    duration_s = time.perf_counter() - before_s
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    coverage = diagnosis.coverage
    print(
        f"{coverage.n_iterations:>8} iterations x {sum(coverage.n_series.values())} series: "
        f"{duration_s:7.2f} s, peak {peak_mib:6.0f} MiB, {diagnosis.verdict}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, nargs="+", default=[100, 1_000, 100_000])
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        measure(options.measure)
        return
    with tempfile.TemporaryDirectory() as folder:
        for n_iterations in options.iterations:
            path = Path(folder) / f"{n_iterations}.h5"
            write(path, n_iterations, options.layers, BLOCK_ROWS, block)
            subprocess.run([sys.executable, __file__, "--measure", str(path)], check=True)
            path.unlink()


if __name__ == "__main__":
    main()
