"""Begin to observe a model with the first step of a loop that the user wrote.

Only then is a Keras model sure to be built: ``train_on_batch`` builds it, and makes its train
function right before the step.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from ..numpynet.network import Network
from .overriding import overridden


class Loop:
    """Begins with the first step of a model, goes on where the model was compiled anew.

    Parameters
    ----------
    begin
        Called before the first step. Must not raise.
    attach
        Called when the model was compiled anew since. Must not raise.
    """

    def __init__(self, begin: Callable[[], None], attach: Callable[[], None]) -> None:
        self._begin = begin
        self._attach = attach
        self._has_begun = False

    @contextlib.contextmanager
    def watching(self, model: Any) -> Iterator[None]:
        """Notice the model's steps while the context lasts.

        A NumPy network needs no building and begins at once.
        """
        if isinstance(model, Network):
            self._step(is_new=False)
            yield
            return

        def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(original)
            def make_train_function(force: bool = False) -> Any:
                was_made = model.train_function is not None and not force
                made = original(force)
                self._step(is_new=not was_made and not force)
                return made

            return make_train_function

        with overridden(model, "make_train_function", wrap):
            yield

    def _step(self, is_new: bool) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._begin()
        elif is_new:
            self._attach()
