"""What recording costs, and what the alternatives do: times of a training step over a plain one.

A plain training and one with the tool alternate, epoch by epoch (A B A B ...); the first epoch,
with its tracing and compiling, does not count. Time to the first step and peak memory are those
of further processes.

    python benchmarks/recording_overhead.py [WORKLOAD ...] [--arm NAME ...] [--pairs 15] [--write]

It takes about an hour. With ``--results FILE`` what is in the file already is not measured again,
so that it can be done in parts.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # where the rest of this benchmark is found
NAMES = ("mlp", "cnn", "residual", "transformer", "wide")
ARM_NAMES = (
    "recorder",
    "floor",
    "budget 0.10",
    "parquet",
    "exact never",
    "exact always",
    "TerminateOnNaN",
    "check_numerics",
    "dump CURT",
    "dump CONCISE",
    "dump FULL",
    "original",
)
SLOW_ARMS = ("check_numerics", "dump CURT", "dump CONCISE", "dump FULL", "original")
"""Several to many times slower than the plain training: a third of the pairs, in shorter epochs."""
N_SLOW_BATCHES = 40
STARTS = ("plain", "cold", "cached")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("workloads", nargs="*", choices=[*NAMES, []], help="default: all")
    parser.add_argument("--arm", action="append", choices=ARM_NAMES, help="default: all")
    parser.add_argument("--pairs", type=int, default=15, help="epochs of each kind")
    parser.add_argument("--results", type=Path, help="where measurements are kept and taken from")
    parser.add_argument("--xla", action="store_true", help="let XLA compile the steps")
    parser.add_argument("--no-start", action="store_true", help="leave out start-up and memory")
    parser.add_argument("--write", action="store_true", help="write docs/overhead.md")
    parser.add_argument("--note", default="", help="said on the page of how it was measured")
    options = parser.parse_args()

    from benchmarks.overhead.page import page, ratio_of, table
    from benchmarks.overhead.processes import measured_pairs, measured_start

    if options.xla:
        os.environ["OVERHEAD_JIT_COMPILE"] = "1"
    workloads, arms = options.workloads or list(NAMES), options.arm or list(ARM_NAMES)
    results: dict[str, Any] = {}
    if options.results and options.results.exists():
        results = json.loads(options.results.read_text())

    def take(key: str, measure: Callable[..., Any], *arguments: object) -> None:
        if key not in results:
            results[key] = measure(*arguments)
            shown = f"ratio {ratio_of(results[key])}" if key.startswith("pairs") else results[key]
            print(f"{key}: {shown}", file=sys.stderr, flush=True)
            if options.results:
                options.results.write_text(json.dumps(results, indent=1))

    for workload in workloads:
        for arm in arms:
            slow = arm in SLOW_ARMS
            n_pairs, n_batches = (
                (max(options.pairs // 3, 2), N_SLOW_BATCHES) if slow else (options.pairs, None)
            )
            take(f"pairs/{workload}/{arm}", measured_pairs, workload, arm, n_pairs, n_batches)
        if not options.no_start:
            with tempfile.TemporaryDirectory() as cache:
                for start in STARTS:
                    arm = "plain" if start == "plain" else "recorder"
                    take(f"start/{workload}/{start}", measured_start, workload, arm, cache)
    print(table(results, workloads, arms))
    if options.write:
        (ROOT / "docs" / "overhead.md").write_text(
            page(results, list(NAMES), list(ARM_NAMES), options.note)
        )


if __name__ == "__main__":
    main()
