"""Nothing of a trace is run: only parts of Keras are made from it."""

from typing import Any

import pytest

from deeplocalize.analyzer.whatif.obstacle import ObstacleError
from deeplocalize.analyzer.whatif.safety import check


def layer(class_name: str, module: str | None = "keras.layers", **more: Any) -> dict[str, Any]:
    return {"module": module, "class_name": class_name, "config": {"name": "it"}, **more}


def model(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"name": "model", "layers": list(layers)}


def nested(depth: int) -> Any:
    found: Any = []
    for _ in range(depth):
        found = [found]
    return found


def test_layers_of_keras_are_let_through() -> None:
    dense = layer("Dense", registered_name=None)
    dense["config"]["kernel_initializer"] = layer("HeNormal", "keras.initializers")
    functional = layer("Functional", "keras.src.models.functional", registered_name="Functional")
    check(model(dense, layer("Sequential", "keras", registered_name="Sequential"), functional))


HOSTILE: dict[str, tuple[Any, str]] = {
    "a lambda": (layer("Lambda"), 'layer "it" is a Lambda'),
    "code": ({"class_name": "__lambda__", "config": {"value": "4wAA"}}, "it has a __lambda__"),
    "another module": (layer("Popen", "subprocess"), "not of Keras"),
    "a module that looks like Keras": (layer("Dense", "keras.layers.evil"), "not of Keras"),
    "Keras's own insides": (layer("get_file", "keras.utils"), "not of Keras"),
    "the functional model's insides": (
        layer("serialize_node", "keras.src.models.functional"),
        "not of Keras",
    ),
    "no module": (layer("Dense", None), "not of Keras"),
    "a function": (layer("function", "builtins"), "not of Keras"),
    "a registered class": (layer("Dense", registered_name="my>Dense"), "a name of its own"),
    "a reader of files": (layer("TextVectorization"), "files of a trace are not touched"),
    "a class name that is none": (layer(["Dense"]), "not of Keras"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", HOSTILE)
def test_anything_else_is_refused_wherever_it_stands(name: str) -> None:
    hostile, expected = HOSTILE[name]
    inner = layer("Dense")
    inner["config"]["activation"] = hostile
    for document in (
        hostile,
        model(hostile),
        (model(inner), None),
        {"loss": {"config": [hostile]}},
    ):
        with pytest.raises(ObstacleError, match=expected):
            check(document)


def test_a_configuration_nested_without_end_is_refused() -> None:
    with pytest.raises(ObstacleError, match="nested too deeply"):
        check(nested(100_000))
