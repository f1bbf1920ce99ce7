"""Put a recording train function in the place of a Keras model's own, for the length of a fit."""

from collections.abc import Callable, Sequence
from typing import Any

from ..fit_scope import watch_fit
from ..keras_model import PlacedLayer, describe_layers, model_config, placed_layers
from ..session import Session
from ..warning import RefusalError
from . import Detach, OnLeft

TrainFunction = Callable[..., Any]
"""``model.train_function``; what it is given differs from framework to framework."""


class AlreadyRecordedError(RefusalError):
    """A fit that is being recorded was given a second recorder."""


def take_over(model: Any, tapped: TrainFunction, session: Session, on_left: OnLeft) -> Detach:
    """Let the running ``fit`` call ``tapped``, which does the same as the model's own function.

    Raises
    ------
    AlreadyRecordedError
        Another session has taken over.
    """
    original = model.train_function
    history = getattr(model, "history", None)
    # Functions of an earlier fit may be left behind where that ended in an exception.
    other, fit = getattr(original, "fed", (session, None))
    if other is not session and other.is_open and fit is history:
        raise AlreadyRecordedError(
            "another Recorder or DeepLocalize records this fit already, and there can be but one"
        )
    placed = placed_layers(model)
    is_described = model.built

    def train_function(*args: Any) -> Any:
        nonlocal is_described
        if not session.is_open and getattr(model, "history", None) is not history:
            # Left behind by a fit that ended in an exception nobody told us of.
            detach()
            return original(*args)
        # Exceptions are not judged here: by some of them Keras learns that an epoch is over.
        logs = tapped(*args)
        if not is_described:
            is_described = True
            _describe_anew(model, placed, session)
        return logs

    def detach() -> None:
        if model.train_function is train_function:
            model.train_function = original

    setattr(train_function, "fed", (session, history))  # noqa: B010  # mypy knows no attributes
    watch_fit(model, on_left, detach, lambda: on_left(None))
    model.train_function = train_function
    return detach


def _describe_anew(model: Any, placed: Sequence[PlacedLayer], session: Session) -> None:
    """A model that was given no shape of its input has built itself in its first step."""
    try:
        session.set_model(describe_layers(tuple(placed)), model_config(model))
    except Exception as error:  # the outermost tap: a failing recorder must not stop a training
        session.failed(error)
