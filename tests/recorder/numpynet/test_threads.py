"""Matrix products of a training keep to one thread, and nothing is left changed."""

from collections.abc import Mapping

import numpy as np
import pytest

from deeplocalize.recorder.numpynet import Callback
from deeplocalize.recorder.numpynet.threads import one_blas_thread

from .builders import classifier, samples

threadpoolctl = pytest.importorskip("threadpoolctl")


def blas_threads() -> set[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    pools = threadpoolctl.threadpool_info()
    return {pool["num_threads"] for pool in pools if pool["user_api"] == "blas"}


class Watching(Callback):
    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        self.seen = blas_threads()


def test_fit_computes_on_one_thread_and_restores_the_number() -> None:
    before, watching = blas_threads(), Watching()
    classifier().fit(*samples(4), verbose=0, callbacks=watching)
    assert watching.seen == {1}
    assert blas_threads() == before


def test_an_error_restores_the_number_too() -> None:
    before = blas_threads()
    with pytest.raises(RuntimeError), one_blas_thread():
        raise RuntimeError
    assert blas_threads() == before
