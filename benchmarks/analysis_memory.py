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
from deeplocalize.traces import (
    ITERATIONS,
    STATISTICS,
    Block,
    Header,
    Kind,
    Layer,
    Series,
    Table,
    create_writer,
)

BLOCK_ROWS = 500


def network(n_layers: int) -> Header:
    """Dense layers with their outputs, weights, gradients and updates: five series each."""
    kinds = (
        (Kind.WEIGHT, (64, 64)),
        (Kind.OUTPUT, (None, 64)),
        (Kind.OUTPUT_GRADIENT, (None, 64)),
        (Kind.WEIGHT_GRADIENT, (64, 64)),
        (Kind.WEIGHT_UPDATE, (64, 64)),
    )
    layers = tuple(
        Layer(i, f"dense_{i}", f"dense_{i}", "Dense", i, "relu", n_parameters=4096)
        for i in range(n_layers)
    )
    series = tuple(
        Series(kind, position * n_layers + i, i, 0, "kernel", shape)
        for position, (kind, shape) in enumerate(kinds)
        for i in range(n_layers)
    )
    return Header(model_name="benchmark", layers=layers, series=series)


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


def write(path: Path, n_iterations: int, n_layers: int) -> None:
    """A trace of a healthy run."""
    header = network(n_layers)
    writer = create_writer(path)
    writer.write_header(header)
    for start in range(0, n_iterations, BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, n_iterations)
        writer.append(block(len(header.series), start, stop))
    writer.close()


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
            write(path, n_iterations, options.layers)
            subprocess.run([sys.executable, __file__, "--measure", str(path)], check=True)
            path.unlink()


if __name__ == "__main__":
    main()
