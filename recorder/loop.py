"""Record a training loop of one's own: say when an iteration begins, hand tensors over, end it.

Any array will do that NumPy understands. Nothing is computed here: what is not tapped is not in
the trace.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from deeplocalize.traces.files import create_writer
from deeplocalize.traces.header import Header, Layer
from deeplocalize.traces.schema import Kind, RunStatus

from .ending import ending_of
from .options import Options, check_truth_value
from .origin import with_origin
from .schedule import Schedule, due_of
from .session import Session
from .step_collector import StepCollector

_NOT_NUMBERS = "OSUMm"
"""NumPy's kinds of objects, texts and times."""


class LoopRecorder:
    """Records the iterations of a training loop into a trace.

    A context manager: leaving the ``with`` block closes the trace and notes how the loop ended. Of
    an iteration that is left unfinished then, as by an exception, what was tapped is recorded.
    Should recording fail, one `RuntimeWarning` says so and the loop goes on; only wrong calls are
    refused.

    Parameters
    ----------
    path
        ``*.h5`` for one HDF5 file, ``*.parquet`` for a directory of Parquet files.
    layers
        By name, the activation that each layer ends with (None: it has none), from input to
        output, each fed by the one before it; names alone will do. Layers not named here are
        appended in the order in which their tensors come.
    loss
        Name of the loss as Keras spells it; it tells the analyzer what a trivial model reaches.
    optimizer
        Name of the optimizer as Keras spells it.
    overwrite
        Replace an existing trace.
    tensors
        Given an iteration, says whether to store all tensors in full (default: never).
    histograms
        Given an iteration, says whether to count elements by their power of two; True: always.

    Raises
    ------
    TraceExistsError
        The path exists and ``overwrite`` is false, or it is not a trace.
    TraceFormatError
        The suffix names no format.
    TraceWriteError
        The path cannot be written.
    TypeError
        An option is not what it is to be.
    """

    def __init__(
        self,
        path: str | Path,
        layers: Mapping[str, str | None] | Iterable[str] = (),
        *,
        loss: str | None = None,
        optimizer: str | None = None,
        overwrite: bool = False,
        tensors: Schedule | None = None,
        histograms: Schedule | bool = False,
    ) -> None:
        self.path = Path(path)
        """Where the trace is."""
        check_truth_value("overwrite", overwrite)
        activations = dict(layers) if isinstance(layers, Mapping) else dict.fromkeys(layers)
        self._layers: dict[str, Layer] = {}
        for name, activation in activations.items():
            self._add_layer(name, activation)
        header = Header(
            framework="numpy",
            versions={"numpy": np.__version__},
            execution="eager",
            model_name="loop",
            model_class="training loop",
            loss=loss,
            optimizer=None if optimizer is None else {"name": optimizer},
            layers=tuple(self._layers.values()),
        )
        self._session = Session(
            create_writer(self.path, overwrite),
            with_origin(header),
            Options(tensors=tensors, histograms=due_of(histograms)),
        )
        self._collector = StepCollector(self._session)
        self._epoch: int | None = None
        self._is_within = False
        self._weights: set[tuple[str, str]] = set()

    @property
    def is_open(self) -> bool:
        """Whether iterations are still being recorded."""
        return self._session.is_open

    def begin_iteration(self, epoch: int = 0) -> None:
        """Begin an iteration of an epoch, counted from 0; an unfinished one is forgotten."""
        self._collector.drop_step()
        self._is_within = True
        if epoch != self._epoch:
            self._session.begin_epoch(epoch)
            self._epoch = epoch

    def tap(self, kind: str, values: ArrayLike, layer: str | None = None, tensor: str = "") -> None:
        """Hand over a tensor of this iteration; it is copied, and may change afterwards.

        Parameters
        ----------
        kind
            What it is: a value of `Kind` ("input", "label", "weight", "preactivation", "output",
            "loss", "output_gradient", "weight_gradient", "weight_update", ...). Weights are those
            of the forward pass. Tap gradients from the last layer to the first.
        values
            Axis 0 is the sample for tensors of the batch and of layers' outputs.
        layer
            Name of its layer; None for tensors of the batch and the loss.
        tensor
            Name of the weight, or of one of several inputs.

        Raises
        ------
        ValueError
            There is no such kind.
        RuntimeError
            No iteration has begun.
        """
        self._check_within("tap")
        try:
            known = Kind(kind)
        except ValueError:
            raise ValueError(f"tap: wants one of {', '.join(Kind)}; found {kind!r}") from None
        if not self._session.is_open:
            return
        try:
            copy = np.array(values)
            if copy.dtype.kind in _NOT_NUMBERS:
                raise TypeError(f"tap: wants numbers for {kind!r}, found {copy.dtype}")
            index = None if layer is None else self._index(layer)
            if known is Kind.WEIGHT and layer is not None:
                self._note_weight(layer, tensor, copy.size)
            self._collector.add(known, index, tensor, copy)
        except Exception as error:  # the outermost tap: a failing recorder must not stop a training
            self._session.failed(error)

    def end_iteration(self, learning_rate: float = float("nan")) -> None:
        """Record the iteration; RuntimeError where none has begun."""
        self._check_within("end_iteration")
        self._is_within = False
        self._collector.end_step(learning_rate)

    def end_epoch(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Note what was measured over an epoch, validation included."""
        self._session.end_epoch(epoch, logs or {})

    def close(self, status: str = RunStatus.COMPLETED, message: str = "") -> None:
        """Close the trace; a second call does nothing.

        ``status`` is how the loop ended: completed, stopped, exception or interrupted; ValueError
        for anything else.
        """
        ending = RunStatus(status)
        if self._is_within and self._collector.has_tensors:
            self.end_iteration()
        self._session.close(ending, message)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
            return
        status, message = ending_of(error)
        self.close(status, message)

    def _check_within(self, call: str) -> None:
        if not self._is_within:
            raise RuntimeError(f"{call}: no iteration has begun; call begin_iteration first")

    def _index(self, layer: str) -> int:
        if layer not in self._layers:
            self._add_layer(layer, None)
            self._session.set_model(tuple(self._layers.values()))
        return self._layers[layer].index

    def _add_layer(self, name: str, activation: str | None) -> None:
        index = len(self._layers)
        before = tuple(self._layers)[-1:]
        self._layers[name] = Layer(
            index, name, name, "Layer", index, activation=activation, inbound=before
        )

    def _note_weight(self, layer: str, tensor: str, size: int) -> None:
        if (layer, tensor) not in self._weights:
            self._weights.add((layer, tensor))
            known = self._layers[layer]
            self._layers[layer] = replace(known, n_parameters=known.n_parameters + size)
            self._session.set_model(tuple(self._layers.values()))
