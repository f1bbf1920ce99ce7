"""What recording costs, and what the alternatives do: times of a training step over a plain one.

Every tool is measured in a process of its own, in which plain trainings and trainings with it
alternate (A B A B ...), each for a few epochs of which the first, with its tracing and compiling,
does not count. Time to the first step and peak memory are those of further processes.

    python benchmarks/recording_overhead.py [WORKLOAD ...] [--arm NAME ...] [--pairs 3] [--write]

It takes about half an hour. With ``--results FILE`` what is in the file already is not measured
again, so that it can be done in parts.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
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
STARTS = ("plain", "cold", "cached")
_FALLBACK_ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("workloads", nargs="*", choices=[*NAMES, []], help="default: all")
    parser.add_argument("--arm", action="append", choices=ARM_NAMES, help="default: all")
    parser.add_argument("--pairs", type=int, default=3, help="trainings of each kind")
    parser.add_argument("--results", type=Path, help="where measurements are kept and taken from")
    parser.add_argument("--xla", action="store_true", help="let XLA compile the steps")
    parser.add_argument("--no-start", action="store_true", help="leave out start-up and memory")
    parser.add_argument("--write", action="store_true", help="write docs/overhead.md")
    parser.add_argument("--note", default="", help="said on the page of how it was measured")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        from benchmarks.overhead.training import MEASUREMENTS

        kind, *arguments = json.loads(options.child)
        print(json.dumps(MEASUREMENTS[kind](*arguments)))
        return

    from benchmarks.overhead.page import page, ratio_of, table

    if options.xla:
        os.environ["OVERHEAD_JIT_COMPILE"] = "1"
    workloads, arms = options.workloads or list(NAMES), options.arm or list(ARM_NAMES)
    results: dict[str, Any] = {}
    if options.results and options.results.exists():
        results = json.loads(options.results.read_text())

    def take(key: str, *arguments: object, **environment: str) -> None:
        if key not in results:
            results[key] = measured(*arguments, **environment)
            shown = f"ratio {ratio_of(results[key])}" if key.startswith("pairs") else results[key]
            print(f"{key}: {shown}", file=sys.stderr, flush=True)
            if options.results:
                options.results.write_text(json.dumps(results, indent=1))

    for workload in workloads:
        for arm in arms:
            take(f"pairs/{workload}/{arm}", "pairs", workload, arm, options.pairs)
        if not options.no_start:
            with tempfile.TemporaryDirectory() as cache:
                for start in STARTS:
                    arm = "plain" if start == "plain" else "recorder"
                    take(f"start/{workload}/{start}", "start", workload, arm, NUMBA_CACHE_DIR=cache)
    print(table(results, workloads, arms))
    if options.write:
        (ROOT / "docs" / "overhead.md").write_text(
            page(results, list(NAMES), list(ARM_NAMES), options.note)
        )


def measured(*arguments: object, **environment: str) -> Any:
    """What a child process measures; its own words where it fails."""
    done = subprocess.run(
        [sys.executable, __file__, "--child", json.dumps(arguments)],
        env={**_FALLBACK_ENVIRONMENT, **os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{arguments}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
