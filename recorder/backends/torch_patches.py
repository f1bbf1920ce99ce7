"""Gradients by layer outputs from PyTorch: hooks on the tensors of the user's own backward pass.

PyTorch runs step by step, so that a hook sees what was computed anyway and changes nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from deeplocalize.traces.header import Unrecorded

from ..keras_model import PlacedLayer
from .keras_patches import KerasPatches, Output
from .step_tensors import StepTensors


class StepPatches(KerasPatches):
    """The same with a hook on every output."""

    def __init__(
        self, model: Any, placed: Sequence[PlacedLayer], tensors: StepTensors, batch: Any
    ) -> None:
        super().__init__(model, placed, tensors, batch)
        self._found: list[tuple[Output, torch.Tensor]] = []
        self._versions: dict[int, int] = {}

    def end_step(self) -> None:
        """Hand over what came after the last update, and drop what has been overwritten."""
        if self._found:
            self._end_backward()
        tensors = self._tensors
        changed = [t for t in tensors.tapped if self._has_changed(t.value)]
        reason = "it was changed in place before the step ended"
        tensors.missed += [Unrecorded(t.kind, t.layer, reason) for t in changed]
        tensors.tapped = [t for t in tensors.tapped if not self._has_changed(t.value)]

    def _follow(self, output: Output) -> torch.Tensor:
        value: torch.Tensor = output.value
        self._note_version(value)
        if value.requires_grad:
            # Neither the tensor nor this object, which holds it: that would be a cycle, and the
            # step's memory would stay in use until Python looks for cycles.
            found, described = self._found, replace(output, value=None)
            value.register_hook(lambda gradient: found.append((described, gradient)))
        return value

    def _end_backward(self) -> None:
        found = self._found.copy()
        self._found.clear()
        for _, gradient in found:
            self._note_version(gradient)
        self._add_output_gradients([o for o, _ in found], [g for _, g in found])

    def _dense(self, gradient: torch.Tensor) -> torch.Tensor:
        self._note_version(gradient)
        return gradient

    def _note_version(self, value: torch.Tensor) -> None:
        self._versions[id(value)] = value._version

    def _has_changed(self, value: torch.Tensor) -> bool:
        """Whether it was changed in place, as ``torch.nn.ReLU(inplace=True)`` does."""
        return bool(value._version != self._versions.get(id(value), value._version))
