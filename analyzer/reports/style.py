"""What a caller may choose about a report."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Style:
    """``colour`` for terminals that show it, ``verbose`` for everything that is known."""

    colour: bool = False
    verbose: bool = False


PLAIN = Style()
