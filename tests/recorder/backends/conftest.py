"""What tests of the backends have in common."""

from collections.abc import Iterator
from typing import Any

import keras
import pytest


@pytest.fixture(autouse=True)
def default_policy() -> Iterator[None]:
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def takes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many steps waited each time that they were taken."""
    tensorflow_queue = pytest.importorskip("deeplocalize.recorder.backends.tensorflow_queue")
    counts: list[int] = []
    take = tensorflow_queue.StepQueue._take

    def counted(self: Any) -> None:
        waiting = int(self._record["n_steps"])
        counts.extend([waiting] if waiting else [])
        take(self)

    monkeypatch.setattr(tensorflow_queue.StepQueue, "_take", counted)
    return counts
