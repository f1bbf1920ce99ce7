"""The recorder where there is no Keras: a callback of the NumPy network's ``fit``."""

from .numpynet.callbacks import Callback
from .recorder import TrainingRecorder


class Recorder(TrainingRecorder, Callback):  # noqa: D101  # it has: the next line
    __doc__ = TrainingRecorder.__doc__
