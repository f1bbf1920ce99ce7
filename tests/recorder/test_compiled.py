"""How functions are compiled, or loaded where they have been before."""

import gc
from collections.abc import Iterator

import pytest

from deeplocalize.recorder.compiled import without_collections


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    yield
    gc.enable()


@pytest.mark.parametrize("is_enabled", [True, False])
def test_the_garbage_collector_is_paused_and_then_as_it_was(is_enabled: bool) -> None:
    if not is_enabled:
        gc.disable()
    with pytest.raises(ValueError), without_collections():
        assert not gc.isenabled()
        raise ValueError
    assert gc.isenabled() is is_enabled
