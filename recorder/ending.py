"""How a training ended that was left by an exception: as what, and the line that says why."""

import re

from deeplocalize.traces.schema import RunStatus

LONGEST = 300
"""Characters of a message: a message may show whole tensors."""

_GRAPH_ERROR = "Graph execution error"
_NODE = re.compile(r"Detected at node '?(\S+?)'? defined at")
_WHERE = (_GRAPH_ERROR, "Detected at node", "<stack traces unavailable>")
# At the beginning of a line, or behind "  (0) INVALID_ARGUMENT:" where there are several.
_REASON = re.compile(r"(?:\s+\(0\) [A-Z_]+:\s+)?(?!\d+ root error)(\S.*)")


def ending_of(error: BaseException) -> tuple[RunStatus, str]:
    """The status of a run that an exception ended, and the exception in one line."""
    is_interrupt = isinstance(error, KeyboardInterrupt)
    status = RunStatus.INTERRUPTED if is_interrupt else RunStatus.EXCEPTION
    name, reason = type(error).__name__, _reason(str(error).strip())
    message = f"{name}: {reason}" if reason else name
    return status, message if len(message) <= LONGEST else f"{message[: LONGEST - 3]}..."


def _reason(text: str) -> str:
    """The first line; of an error in a TensorFlow graph, what follows the operation's traceback."""
    lines = text.splitlines()
    if not text.startswith(_GRAPH_ERROR):
        return lines[0] if lines else ""
    told = (_REASON.fullmatch(line) for line in lines if not line.startswith(_WHERE))
    reasons = [match[1] for match in told if match]
    node = _NODE.search(text)
    reason = reasons[0] if reasons else lines[0]
    return f"{reason} (at node {node[1]})" if node else reason
