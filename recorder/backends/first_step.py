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


@contextlib.contextmanager
def from_first_step(
    model: Any, begin: Callable[[], None], attach: Callable[[], None]
) -> Iterator[None]:
    """Call ``begin`` before the first step, ``attach`` when the model was compiled anew since.

    Neither may raise. A NumPy network needs no building and begins at once.
    """
    if isinstance(model, Network):
        begin()
        yield
        return
    has_begun = False

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def make_train_function(force: bool = False) -> Any:
            nonlocal has_begun
            was_made = model.train_function is not None and not force
            made = original(force)
            if not has_begun:
                has_begun = True
                begin()
            elif not was_made and not force:
                attach()
            return made

        return make_train_function

    with overridden(model, "make_train_function", wrap):
        yield
