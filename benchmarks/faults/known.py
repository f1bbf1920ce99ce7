"""The 41 known buggy programs and their repairs, rebuilt from ``known.json``.

The file holds facts read off the programs: layers, compile and fit settings, and what the data
looked like. Published repairs give the right answers; where a repair changes nothing that a run
could show, the case says so and is counted apart.

Trainings are shortened: samples to `MAX_SAMPLES`, batches to `MAX_BATCH`, iterations to the caps
below (learning rates stay), images wider than `MAX_SIDE` to that, and convolutions of more than
`MAX_FILTERS` filters over maps of more than `WIDE_MAP` elements to `MAX_FILTERS`. Epochs of few
batches are joined, since Keras takes long to begin one. Networks on images, and with inputs or
layers wider than `LARGE`, count as large.
"""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .program import Answer, Case, Group, Layer, Program

FACTS = Path(__file__).with_name("known.json")

MAX_SAMPLES = 1500
MAX_ITERATIONS = 1000
MAX_ITERATIONS_TINY = 4000
MAX_ITERATIONS_LARGE = 100
MAX_BATCH = 256
LARGE = 3000
MIN_ITERATIONS_PER_EPOCH = 25
N_TINY = 500
MAX_SIDE = 64
MAX_FILTERS = 32
WIDE_MAP = 28 * 28

CAUSES: dict[str, tuple[str, ...]] = {
    "last_layer_activation": ("output_activation", "activation_loss_mismatch"),
    "activation_loss_mismatch": ("activation_loss_mismatch", "output_activation"),
    "hidden_activation": ("hidden_activation",),
    "layer_units/output_shape": ("output_shape",),
    "missing_layer": ("missing_layer",),
    "extra_layer/dropout/regularizer": ("extra_layer",),
    "loss_function": ("loss_function",),
    "optimizer": ("optimizer", "learning_rate"),
    "learning_rate": ("learning_rate",),
    "epochs/batch_size": ("epochs_or_batch_size",),
    "input_scaling": ("input_scale",),
    "label_encoding/scale": ("label_encoding",),
    "other": (),
}
OF_LAYERS = frozenset(
    {
        "last_layer_activation", "activation_loss_mismatch", "hidden_activation",
        "layer_units/output_shape", "extra_layer/dropout/regularizer",
    }
)  # fmt: skip


def cases() -> Iterator[Case]:
    """Every known program in both forms, as far as they are described."""
    for entry in json.loads(FACTS.read_text()):
        name, remark = entry["id"], entry.get("apart", "")
        if entry["faulty"] is not None:
            yield Case(
                f"{name}/faulty", Group.KNOWN, _program(entry, entry["faulty"]), _answers(entry),
                parent=name, remark=remark, is_certain=entry["confidence"] == "high",
            )  # fmt: skip
        if entry["repaired"] is not None:
            yield Case(
                f"{name}/repaired", Group.REPAIRED, _program(entry, entry["repaired"]),
                parent=name, remark=_unclean(entry),
            )  # fmt: skip


def _unclean(entry: Mapping[str, Any]) -> str:
    """Why a repaired program is not free of faults."""
    x = entry["repaired"]["x"]
    largest = max(abs(x["min"]), abs(x["max"]))
    has_lambda = any(layer["class"] == "Lambda" for layer in entry["repaired"]["layers"])
    if largest > 20 and not has_lambda and not _normalises(entry["repaired"]["layers"]):
        return f"still trains on unscaled inputs (up to {largest:.3g})"
    return str(entry.get("repair_apart", ""))


def _normalises(layers: list[Layer]) -> bool:
    return bool(layers[0]["class"] == "BatchNormalization")


def _answers(entry: Mapping[str, Any]) -> tuple[Answer, ...]:
    layers = entry["faulty"]["layers"]
    listed = {i for i in entry["layers"] if i < len(layers)}
    near = frozenset(listed | {_weighted(layers, i) for i in listed})
    found = [
        Answer(cause, near if kind in OF_LAYERS and near else None)
        for kind in entry["kinds"]
        for cause in CAUSES[kind]
    ]
    found += [Answer(also["cause"]) for also in entry.get("also", ())]
    return tuple(dict.fromkeys(found))


def _weighted(layers: list[Layer], index: int) -> int:
    """The layer itself, or for an activation the weighted layer before it."""
    while index > 0 and layers[index]["class"] in ("Activation", "Dropout"):
        index -= 1
    return index


# ---- programs ---------------------------------------------------------------------------------


def _program(entry: Mapping[str, Any], form: Mapping[str, Any]) -> Program:
    x, y = _smaller(form["x"]), form["y"]
    is_image = len(x["shape"]) == 4
    n_original = x["shape"][0]
    size = max(math.prod(x["shape"][1:]), *[layer.get("units", 0) for layer in form["layers"]])
    is_large = size > LARGE or (is_image and size > 100)
    batch_size = min(form["batch_size"] or 32, n_original, MAX_BATCH)
    n = min(n_original, max(600 if is_large else MAX_SAMPLES, batch_size))
    wanted = (form["epochs"] or 5) * math.ceil(n_original / batch_size)
    is_tiny = size * n <= N_TINY * 25
    most = (
        MAX_ITERATIONS_LARGE if is_large
        else MAX_ITERATIONS_TINY if is_tiny else MAX_ITERATIONS
    )  # fmt: skip
    n_repeats = max(1, MIN_ITERATIONS_PER_EPOCH * batch_size // n)
    n_iterations = math.ceil(n * n_repeats / batch_size)
    n_epochs = max(1, round(min(wanted, most) / n_iterations))
    if wanted < n_iterations:
        n_repeats = max(1, wanted * batch_size // n)
    signal = form.get("signal") or entry.get("signal", "auto")
    return Program(
        layers=tuple(_layers(form["layers"], form["x"]["shape"][1:])),
        loss=form["loss"],
        optimizer=form["optimizer"],
        task={"name": "stand_in", "x": x, "y": y, "n": n, "signal": signal, "n_repeats": n_repeats},
        n_epochs=n_epochs,
        batch_size=batch_size,
    )


def _smaller(x: Mapping[str, Any]) -> dict[str, Any]:
    shape = list(x["shape"]) if len(x["shape"]) > 1 else [*x["shape"], 1]
    if len(shape) == 4:
        shape[1:3] = [min(side, MAX_SIDE) for side in shape[1:3]]
    return {**x, "shape": shape}


def _layers(layers: list[Layer], before: list[int]) -> Iterator[Layer]:
    """Layers with what the facts leave out inferred from the shapes they had."""
    for layer in layers:
        arguments = dict(layer)
        after = arguments.pop("output_shape", None)
        match arguments["class"]:
            case "Conv2D":
                arguments |= _convolution(arguments, before, after)
                if math.prod(after[:2]) > WIDE_MAP and arguments["filters"] > MAX_FILTERS:
                    arguments["filters"] = MAX_FILTERS
            case "MaxPooling2D":
                arguments["pool_size"] = max(2, round(before[0] / after[0]))
                if after[0] * arguments["pool_size"] > before[0]:
                    arguments["padding"] = "same"
            case "Reshape":
                arguments["target_shape"] = after
            case "Lambda":
                arguments = {"class": "Operation", "function": "center_pixels"}
        for name in ("kernel_initializer", "bias_initializer"):
            if arguments.get(name) == "Constant":
                arguments[name] = {"class_name": "Constant", "config": {"value": 0.1}}
        yield arguments
        before = after or before


def _convolution(arguments: Layer, before: list[int], after: list[int]) -> dict[str, Any]:
    """Stride and padding that turn one shape into the other."""
    kernel = arguments["kernel_size"][0]
    if after[0] == before[0]:
        return {"padding": "same"}
    return {"strides": max(1, round((before[0] - kernel) / max(after[0] - 1, 1)))}
