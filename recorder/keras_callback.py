"""The recorder as a callback of Keras's: ``model.fit(..., callbacks=[Recorder("trace.h5")])``."""

import keras

from .recorder import TrainingRecorder


class Recorder(TrainingRecorder, keras.callbacks.Callback):  # noqa: D101  # it has: the next line
    __doc__ = TrainingRecorder.__doc__

    # No hook of this callback is called per batch, so Keras may keep dispatching steps ahead.
    async_safe = True
