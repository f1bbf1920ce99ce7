"""Time, peak memory and size of the HTML report of a long trace.

``python benchmarks/report_speed.py`` writes a trace of 100,000 iterations x 300 series through
the real HDF5 writer, in blocks of the size of a recording's, and reports on it in a process of its
own: with the whole command as a user runs it, then step by step. ``--keep trace.h5`` leaves the
trace there and uses it again.
"""

import argparse
import functools
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deeplocalize.analyzer import analyze
from deeplocalize.analyzer.reports import html
from deeplocalize.traces import ITERATIONS, STATISTICS, Block, Table, open_trace

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.long_traces import network, write

BLOCK_BYTES = 2 << 20  # as recordings have them
N_ELEMENTS = 4096


def block(n_series: int, start: int, stop: int, fault: int) -> Block:
    """Statistics as a training has them; from the fault on every third series holds NaN."""
    random = np.random.default_rng(start)
    n_rows = stop - start
    shape = (n_rows, n_series)
    numbers = np.arange(start, stop)
    iterations = {column.name: np.ones(n_rows, dtype=column.numpy_dtype) for column in ITERATIONS}
    iterations["iteration"] = numbers
    iterations["epoch"], iterations["batch"] = np.divmod(numbers, 1000)
    iterations["loss"] = np.exp(-numbers / 30_000) + random.uniform(0, 0.1, n_rows)
    rms = np.exp(random.normal(-4, 0.3, shape)) * (1 + np.arange(n_series) / 20)
    statistics = {column.name: np.zeros(shape, dtype=column.numpy_dtype) for column in STATISTICS}
    statistics["n"] += N_ELEMENTS
    statistics["n_zero"] += random.integers(0, N_ELEMENTS // 2, shape)
    statistics["rms"] += rms
    statistics["mean_abs"] += 0.8 * rms
    statistics["mean"] += 0.1 * rms
    statistics["min"] -= 3 * rms
    statistics["max"] += 3 * rms
    is_broken = (numbers >= fault)[:, None] & (np.arange(n_series) % 3 == 0)
    statistics["n_nan"][is_broken] = 7
    iterations["n_nonfinite_series"] = is_broken.sum(axis=1)
    return Block(Table(ITERATIONS, iterations), numbers, Table(STATISTICS, statistics))


def write_broken(path: Path, n_iterations: int, n_layers: int) -> None:
    """A trace that breaks in its last hundredth."""
    n_series = len(network(n_layers).series)
    row_bytes = n_series * sum(column.numpy_dtype.itemsize for column in STATISTICS)
    block_rows = max(1, BLOCK_BYTES // row_bytes)
    broken = functools.partial(block, fault=n_iterations * 99 // 100)
    write(path, n_iterations, n_layers, block_rows, broken)


@dataclass(frozen=True)
class Clock:
    """The time of the wall, and of the processor, which a busy machine does not lengthen."""

    wall_s: float
    cpu_s: float

    @staticmethod
    def now() -> "Clock":
        """Both clocks."""
        return Clock(time.perf_counter(), time.process_time())

    def since(self, earlier: "Clock") -> str:
        """What has passed."""
        return f"{self.wall_s - earlier.wall_s:.1f} s ({self.cpu_s - earlier.cpu_s:.1f} s of CPU)"


def measure(path: Path) -> None:
    """Report on a trace in this process and print what it took."""
    with open_trace(path) as trace:
        began = Clock.now()
        diagnosis = analyze(trace)
        analysed = Clock.now()
        page = html.render(diagnosis, trace.reader)
        rendered = Clock.now()
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{trace.n_iterations} iterations x {len(trace.header.series)} series: "
            f"analysis {analysed.since(began)}, HTML {rendered.since(analysed)}, "
            f"peak {peak_mib:.0f} MiB, report {len(page.encode()) / 1e6:.2f} MB"
        )


def time_command(path: Path, report: Path) -> None:
    """Run ``deeplocalize-analyze`` in a fresh process and print what all of it took."""
    command = [sys.executable, "-m", "deeplocalize.analyzer", str(path), "-o", str(report)]
    began = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - began
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        sys.exit("deeplocalize-analyze failed")
    print(
        f"deeplocalize-analyze {path.name} -o {report.name}: {wall_s:.1f} s "
        f"({usage.ru_utime + usage.ru_stime:.1f} s of CPU), peak {usage.ru_maxrss / 1024:.0f} MiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=100_000)
    parser.add_argument("--layers", type=int, default=60, help="five series each")
    parser.add_argument("--keep", type=Path, help="where the trace is, or is to stay")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        measure(options.measure)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = options.keep or Path(folder) / "long.h5"
        if not path.exists():
            write_broken(path, options.iterations, options.layers)
        time_command(path, Path(folder) / "report.html")
        subprocess.run([sys.executable, __file__, "--measure", str(path)], check=True)


if __name__ == "__main__":
    main()
