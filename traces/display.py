"""How a trace shows itself in a notebook: static HTML, which needs neither script nor trust."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import numpy as np

from .header import Header, Layer
from .interface import TraceReader, end_of
from .plots.extremes import CHUNK_ITERATIONS, Extremes

MAX_LAYERS = 30

_SPARK_WIDTH, _SPARK_HEIGHT, _SPARK_POINTS = 360, 48, 180


def trace_html(path: Path, reader: TraceReader) -> str:
    """A trace in one glance: what run it is, how far it came, its loss and its layers."""
    header = reader.header
    facts = (
        ("model", f"{header.model_name} ({header.model_class})"),
        ("recorded from", header.framework),
        ("iterations", f"{reader.n_iterations:,}"),
        ("series", f"{len(header.series):,}"),
        ("end of the run", ending_of(reader)),
    )
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th>"
        f"<td style='text-align:left'>{escape(value)}</td></tr>"
        for name, value in facts
    )
    return (
        f"<div><strong>Trace</strong> <code>{escape(str(path))}</code>"
        f"<table>{rows}</table>{_sparkline(reader)}{_layers(header)}</div>"
    )


def ending_of(reader: TraceReader) -> str:
    """How the run ended, in a word or a sentence."""
    end = end_of(reader.events())
    if end is None:
        return "none recorded: killed, or still going on"
    status = str(end.details.get("status", "ended"))
    return f"{status}: {end.message}" if end.message else status


def _sparkline(reader: TraceReader) -> str:
    """The loss as a small picture; a red dot is the first one that is not finite."""
    n = reader.n_iterations
    width = max(1, -(-n // _SPARK_POINTS))
    extremes = Extremes(0, width, -(-n // width))
    for start in range(0, n, CHUNK_ITERATIONS):
        loss = reader.iterations(start, start + CHUNK_ITERATIONS)["loss"]
        extremes.add(np.arange(start, start + len(loss)), loss)
    _, loss, _ = extremes.values()
    shown = np.flatnonzero(np.isfinite(loss))
    if len(shown) < 2:
        return ""
    low, high = float(loss[shown].min()), float(loss[shown].max())
    x = shown / (len(loss) - 1) * _SPARK_WIDTH
    # Halved first: the difference of two large losses would overflow.
    span = (high / 2 - low / 2) or 1.0
    y = _SPARK_HEIGHT - (loss[shown] / 2 - low / 2) / span * (_SPARK_HEIGHT - 6) - 3
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    dot = ""
    if extremes.is_broken.any():
        at = int(np.argmax(extremes.is_broken)) / (len(loss) - 1) * _SPARK_WIDTH
        dot = f"<circle cx='{at:.1f}' cy='6' r='4' fill='#e5344a'/>"
    label = f"loss, from {loss[shown[0]]:.4g} to {loss[shown[-1]]:.4g}"
    return (
        f"<svg width='{_SPARK_WIDTH}' height='{_SPARK_HEIGHT}' role='img' aria-label='{label}'>"
        f"<title>{label}</title><polyline points='{points}' fill='none' stroke='#3b6fd4' "
        f"stroke-width='1.5'/>{dot}</svg>"
    )


def _layers(header: Header) -> str:
    titles = ("layer", "name", "class", "activation", "output shape", "parameters")
    rows = "".join(_row("td", _cells(layer)) for layer in header.layers[:MAX_LAYERS])
    hidden = len(header.layers) - MAX_LAYERS
    more = f"<p>and {hidden} more layers</p>" if hidden > 0 else ""
    return f"<table><thead>{_row('th', titles)}</thead><tbody>{rows}</tbody></table>{more}"


def _cells(layer: Layer) -> Sequence[str]:
    return (
        str(layer.index) if layer.index >= 0 else "",
        layer.name,
        layer.class_name,
        layer.activation or "",
        ", ".join(shape_text(shape) for shape in layer.output_shapes),
        f"{layer.n_parameters:,}",
    )


def shape_text(shape: Sequence[int | None]) -> str:
    """A shape as people write it; an axis that varies is a question mark."""
    return "(" + ", ".join("?" if length is None else str(length) for length in shape) + ")"


def _row(tag: str, cells: Iterable[str]) -> str:
    inner = "".join(f"<{tag} style='text-align:left'>{escape(cell)}</{tag}>" for cell in cells)
    return f"<tr>{inner}</tr>"
