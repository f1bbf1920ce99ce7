"""Traces of long trainings of dense layers, with numbers that are made up."""

from collections.abc import Callable
from pathlib import Path

from deeplocalize.traces import Block, Event, Header, Kind, Layer, Series, create_writer


def network(n_layers: int) -> Header:
    """Dense layers with their weights, outputs, gradients and updates: five series each."""
    kinds = (
        (Kind.WEIGHT, "kernel", (64, 64)),
        (Kind.OUTPUT, "", (None, 64)),
        (Kind.OUTPUT_GRADIENT, "", (None, 64)),
        (Kind.WEIGHT_GRADIENT, "kernel", (64, 64)),
        (Kind.WEIGHT_UPDATE, "kernel", (64, 64)),
    )
    layers = tuple(
        Layer(i, f"dense_{i}", f"dense_{i}", "Dense", i, "relu", n_parameters=4096)
        for i in range(n_layers)
    )
    series = tuple(
        Series(kind, position * n_layers + i, i, 0, tensor, shape)
        for position, (kind, tensor, shape) in enumerate(kinds)
        for i in range(n_layers)
    )
    return Header(model_name="benchmark", layers=layers, series=series)


def write(
    path: Path,
    n_iterations: int,
    n_layers: int,
    block_rows: int,
    block: Callable[[int, int, int], Block],
) -> None:
    """A trace of a run that was completed.

    Parameters
    ----------
    block_rows
        Iterations per block, as the writer gets them.
    block
        Makes one of the number of series and its first iteration and the one after its last.
    """
    header = network(n_layers)
    writer = create_writer(path)
    writer.write_header(header)
    for start in range(0, n_iterations, block_rows):
        stop = min(start + block_rows, n_iterations)
        writer.append(block(len(header.series), start, stop))
    writer.append_events([Event("end", details={"status": "completed"})])
    writer.close()
