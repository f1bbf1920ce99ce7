"""Which configurations may be handed to Keras: those that name nothing but its own parts.

A trace is anyone's file. What is built from it are classes of Keras, found by their public names;
code in the file (a `Lambda`), names of other modules, and layers that read files are refused.
"""

from collections.abc import Mapping
from typing import Any

from .obstacle import ObstacleError

MODULES = frozenset(
    {"keras", "keras.layers", "keras.initializers", "keras.regularizers", "keras.constraints",
     "keras.optimizers", "keras.optimizers.schedules", "keras.losses"}
)  # fmt: skip

FUNCTIONAL_MODULE = "keras.src.models.functional"
"""Where Keras writes that a functional model is to be found: its class has no public name."""

# They hold code, or read what a path in their configuration names.
REFUSED = frozenset(
    {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TextVectorization",
     "StringLookup", "IntegerLookup"}
)  # fmt: skip

# Values that the graph of a functional model is written with.
_VALUES = frozenset({"__keras_tensor__", "__numpy__", "__tensor__"})


def check(document: Any) -> None:
    """Go through a whole configuration.

    Raises
    ------
    ObstacleError
        Something in it is not a part of Keras that is safe to make from a file.
    """
    try:
        _check(document)
    except RecursionError:
        raise ObstacleError("the model's configuration is nested too deeply") from None


def _check(document: Any) -> None:
    if isinstance(document, Mapping):
        if "class_name" in document:
            _check_class(document)
        for value in document.values():
            _check(value)
    elif isinstance(document, list | tuple):
        for value in document:
            _check(value)


def _check_class(document: Mapping[str, Any]) -> None:
    name = str(document["class_name"])
    if name in _VALUES:
        return
    config = document.get("config")
    label = config.get("name") if isinstance(config, Mapping) else None
    what = f'layer "{label}" is a {name}' if label else f"it has a {name}"
    if name in REFUSED or name == "__lambda__":
        raise ObstacleError(f"{what}, and code or files of a trace are not touched")
    if not isinstance(document["class_name"], str) or not _is_of_keras(document):
        raise ObstacleError(f"{what}, which is not of Keras")
    if document.get("registered_name") not in (None, name):
        raise ObstacleError(f"{what}, registered under a name of its own")


def _is_of_keras(document: Mapping[str, Any]) -> bool:
    """Without a module (a loss, an optimizer), Keras looks among its own alone."""
    module = document.get("module", "keras")
    if module == FUNCTIONAL_MODULE:
        return bool(document["class_name"] == "Functional")
    return isinstance(module, str) and module in MODULES
