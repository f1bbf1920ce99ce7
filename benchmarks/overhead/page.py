"""From measurements to the table on the terminal and ``docs/overhead.md``."""

import os
import platform
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

Results = Mapping[str, Mapping[str, Any]]
"""By ``KIND/WORKLOAD/ARM``."""

GOALS = {"mlp": 1.30, "cnn": 1.25, "residual": 1.10, "transformer": 1.10, "wide": 1.10}
BUDGET_GOAL = 1.10
FLOOR_GOAL, START_GOAL, MEMORY_GOAL_MIB = 1.15, 2.0, 200

PAGE = """# What recording costs

<!-- Written by `python benchmarks/recording_overhead.py --write`. -->

The time of a training step with each tool over that without. A plain training and one with the
tool, in a process each, alternate epoch by epoch; shown are the median of the ratios of
neighbouring epochs and the quartiles, between which half of them lie. `recorder` is
`Recorder(path)`: every batch, all layers, all kinds, on disk. `floor` is one sum of every tensor
that it observes, in TensorFlow, and nothing else. `original` is our model of the original
DeepLocalize callback (one forward pass and one gradient per layer and batch).

{machine}

```text
{table}
```
"""


@dataclass(frozen=True)
class Ratio:
    """Median and quartiles of the ratios of neighbouring epochs."""

    middle: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.middle:.2f} ({self.low:.2f}-{self.high:.2f})"


def ratio_of(pairs: Mapping[str, Any]) -> Ratio:
    """The ratio of the steps' times."""
    ratios = [b / a for a, b in zip(pairs["plain_s"], pairs["arm_s"], strict=True)]
    low, middle, high = statistics.quantiles(ratios, method="inclusive")
    return Ratio(middle, low, high)


def table(results: Results, workloads: list[str], arms: list[str]) -> str:
    """All that was measured, at most 80 columns wide."""
    lines = ["step time, ratio to the plain training, and its quartiles", ""]
    lines.append(f"{'workload':12} {'plain':>9}  {'tool':15} {'ratio':>6}  {'quartiles':13} goal")
    for workload in workloads:
        for arm in arms:
            pairs = results.get(f"pairs/{workload}/{arm}")
            if pairs is None:
                continue
            ratio = ratio_of(pairs)
            spread = f"{ratio.low:.2f}-{ratio.high:.2f}"
            limit = {"recorder": GOALS[workload], "budget 0.10": BUDGET_GOAL}.get(arm)
            goal = "" if limit is None else f"<= {limit:.2f}"
            plain = f"{statistics.median(pairs['plain_s']) * 1e3:.2f} ms"
            row = f"{workload:12} {plain:>9}  {arm:15} {ratio.middle:6.2f}  {spread:13} {goal}"
            lines.append(row.rstrip())
    lines += ["", *_others(results, workloads)]
    return "\n".join(lines).rstrip()


def _others(results: Results, workloads: list[str]) -> list[str]:
    head = f"{'workload':12} {'B/step':>8} {'series':>6} {'/floor':>7} {'caught':>7}"
    lines = [f"{head} {'first step: plain':>18} {'cold':>7} {'cached':>7} {'MiB':>6}"]
    for workload in workloads:
        pairs = results.get(f"pairs/{workload}/recorder", {})
        floor = results.get(f"pairs/{workload}/floor")
        over = f"{ratio_of(pairs).middle / ratio_of(floor).middle:.2f}" if floor and pairs else ""
        caught = results.get(f"pairs/{workload}/budget 0.10", {}).get("caught_in")
        told = "" if caught is None else "yes" if caught else "NO"
        row = (
            f"{workload:12} {pairs.get('bytes_per_step', 0):8.0f} {pairs.get('n_series', 0):6d}"
            f" {over:>7} {told:>7}"
        )
        plain, cold, cached = (
            results.get(f"start/{workload}/{arm}") for arm in ("plain", "cold", "cached")
        )
        if plain and cold and cached:
            seconds = plain["first_step_s"]
            row += (
                f" {seconds:16.2f} s {cold['first_step_s'] / seconds:6.2f}x"
                f" {cached['first_step_s'] / seconds:6.2f}x"
                f" {cached['peak_mib'] - plain['peak_mib']:6.0f}"
            )
        lines.append(row)
    return [
        *lines,
        "",
        "B/step: bytes on disk per step, HDF5. /floor: ratio over the floor's (goal: at most",
        f"{FLOOR_GOAL}). caught: with budget=0.10, NaN was recorded in its own iteration. First",
        "step: until its end, compiling included, and the ratio to it with the recorder, its",
        f"kernel not yet and already compiled (goal: {START_GOAL}). MiB: added peak memory, ring",
        f"included (goal: {MEMORY_GOAL_MIB} beside it).",
    ]


def page(results: Results, workloads: list[str], arms: list[str], note: str = "") -> str:
    """The page, ending in a newline; ``note`` is said of how it was measured."""
    names = ("tensorflow", "keras", "numpy", "numba", "h5py")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    machine = (
        f"{os.cpu_count()} cores ({platform.machine()}), no GPU, Python "
        f"{platform.python_version()}, {versions}."
    )
    if note:
        machine += f"\n\n{note}"
    return PAGE.format(machine=machine, table=table(results, workloads, arms))
