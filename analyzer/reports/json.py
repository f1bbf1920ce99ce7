"""The JSON report: the contract that other programs read."""

from ..diagnosis import Diagnosis


def render(diagnosis: Diagnosis, colour: bool = False) -> str:
    """The diagnosis as strict JSON, one document; it has no colours."""
    del colour
    return diagnosis.to_json() + "\n"
