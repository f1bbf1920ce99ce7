"""A callback that ends a fit with an exception."""

from typing import Any

import keras


class Raise(keras.callbacks.Callback):
    """Raises in one of Keras's hooks."""

    def __init__(self, error: type[BaseException], hook: str, at: int = 3) -> None:
        super().__init__()
        self.error, self.at = error, at
        setattr(self, hook, self.act)

    def act(self, index: int = 0, logs: Any = None) -> None:
        if index == self.at:
            raise self.error("broken")
