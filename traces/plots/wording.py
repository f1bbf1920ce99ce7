"""What plots call a series."""

from ..header import Header


def series_label(header: Header, series: int) -> str:
    """Layer, tensor and call of a series, without its kind; the kind where it has no layer."""
    facts = header.series[series]
    layer = header.layer_of(facts)
    parts = [layer.name if layer else str(facts.kind), facts.tensor]
    if facts.call:
        parts.append(f"(call {facts.call + 1})")
    return " ".join(dict.fromkeys(part for part in parts if part))
