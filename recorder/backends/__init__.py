"""One module per framework, all of the same shape; the seam between a recorder and a training."""

from collections.abc import Callable
from typing import Any, Protocol

from deeplocalize.traces.header import Header

from ..numpynet.network import Network
from ..session import Session
from ..warning import RefusalError

Detach = Callable[[], None]
"""Leaves the model as it was; a second call does nothing."""

OnLeft = Callable[[BaseException | None], None]
"""To be called when ``fit`` is left otherwise than by its end; None: the exception is unknown."""


class Backend(Protocol):
    """What a recorder asks of a framework."""

    def describe(self, model: Any) -> Header:
        """What is known of a compiled model before its first step."""

    def attach(self, model: Any, session: Session, on_left: OnLeft) -> Detach:
        """Hand every step of the running ``fit`` over to the session.

        Nothing of it may raise into the training (see `Session.failed`) or change its numbers.
        Frameworks that call ``on_train_exception`` themselves need not call ``on_left``.
        """


class UnknownBackendError(RefusalError):
    """Keras runs on a framework for which there is no backend here."""


def backend_of(model: Any) -> Backend:
    """The backend for a model.

    Raises
    ------
    UnknownBackendError
        Keras runs on a framework for which there is none.
    """
    if isinstance(model, Network):
        from . import numpynet

        return numpynet
    import keras

    match keras.backend.backend():
        case "tensorflow":
            from . import tensorflow

            return tensorflow
        case "jax":
            from . import jax

            return jax
        case "torch":
            from . import torch

            return torch
        case name:
            raise UnknownBackendError(
                f"there is no recorder for Keras on {name!r} yet; "
                "it records on 'tensorflow', 'jax' and 'torch'"
            )


def repeat_obstacle_of(model: Any) -> str:
    """Why a model could not be made and trained again from its trace; empty if it could."""
    if isinstance(model, Network):
        return "it is a network of the NumPy framework, and only Keras models can be made again"
    from ..keras_repeatable import obstacle

    return obstacle(model)
