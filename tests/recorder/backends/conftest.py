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
def operations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Those that the steps were given, by name: many groups, and three parts."""
    tensorflow_form = pytest.importorskip("deeplocalize.recorder.backends.tensorflow_form")
    names: list[str] = []
    add = tensorflow_form.add_operation

    def noted(name: str, *arguments: Any) -> Any:
        names.append(name)
        return add(name, *arguments)

    for option in ("_GROUP_ELEMENTS", "_HELD_GROUP_ELEMENTS"):
        monkeypatch.setattr(tensorflow_form, option, 100)
    monkeypatch.setattr(tensorflow_form, "ELEMENTS_WORTH_A_THREAD", 1)
    monkeypatch.setattr(tensorflow_form, "N_THREADS", 3)
    monkeypatch.setattr(tensorflow_form, "add_operation", noted)
    return names


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
