"""What a trace says of the exception that ended a training."""

from typing import Any

import keras
import numpy as np
import pytest

from deeplocalize.recorder.ending import LONGEST, ending_of
from deeplocalize.traces import RunStatus

SEVERAL = """Graph execution error:

Detected at node a/GatherV2 defined at (most recent call last):
<stack traces unavailable>
Detected at node b/GatherV2 defined at (most recent call last):
<stack traces unavailable>
2 root error(s) found.
  (0) INVALID_ARGUMENT:  indices[0,0] = 10 is not in [0, 5)
\t [[{{node a/GatherV2}}]]
\t [[b/GatherV2/_6]]
  (1) INVALID_ARGUMENT:  indices[0,0] = 12 is not in [0, 5)
\t [[{{node b/GatherV2}}]]
0 successful operations."""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("broken\nin two lines"), "ValueError: broken"),
        (ValueError(), "ValueError"),
        (
            RuntimeError(SEVERAL),
            "RuntimeError: indices[0,0] = 10 is not in [0, 5) (at node a/GatherV2)",
        ),
        (RuntimeError("Graph execution error:"), "RuntimeError: Graph execution error:"),
    ],
)
def test_an_exception_is_told_in_the_line_that_says_why(error: Exception, message: str) -> None:
    assert ending_of(error) == (RunStatus.EXCEPTION, message)


def test_an_interrupt_is_one() -> None:
    assert ending_of(KeyboardInterrupt()) == (RunStatus.INTERRUPTED, "KeyboardInterrupt")


def test_a_long_message_is_cut() -> None:
    _, message = ending_of(ValueError("1 " * LONGEST))
    assert len(message) == LONGEST
    assert message.endswith("...")


def test_an_error_in_a_graph_is_told_with_its_node() -> None:
    layers: list[Any] = [keras.layers.Embedding(5, 4, name="words"), keras.layers.Flatten()]
    model = keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(Exception, match="Graph execution error") as caught:
        model.train_on_batch(np.full((8, 3), 10), np.zeros((8, 2)))
    _, message = ending_of(caught.value)
    assert message.startswith("InvalidArgumentError: indices[")
    assert "= 10 is not in [0, 5) (at node " in message
    assert "words" in message
