"""A network as a table of text."""

from collections.abc import Sequence

from .layers import Layer


def summary(name: str, layers: Sequence[Layer]) -> str:
    """One line per layer with its class, output shape and number of parameters, and a total."""
    rows = [("Layer", "Class", "Output shape", "Parameters")]
    for layer in layers:
        shape = str(("batch", *layer.output_shape)).replace("'", "") if layer.built else "?"
        count = f"{layer.n_parameters:,}" if layer.built else "?"
        rows.append((layer.name, layer.class_name, shape, count))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join(
            text.rjust(width) if column == 3 else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    total = sum(layer.n_parameters for layer in layers)
    learning = sum(
        weight.size for layer in layers if layer.is_learning for weight in layer.weights.values()
    )
    rule = "-" * len(lines[0])
    return "\n".join(
        (name, lines[0], rule, *lines[1:], rule, f"{total:,} parameters, {learning:,} trainable")
    )
