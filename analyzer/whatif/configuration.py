"""Changes to a model's configuration, each giving a new one; nothing here knows Keras itself."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .obstacle import ObstacleError

Entry = Mapping[str, Any]
"""A layer as Keras writes it down: ``class_name``, ``config`` and, in a graph, its inputs."""


def entries(config: Mapping[str, Any]) -> Iterator[Entry]:
    """Every layer of a model, those of models inside it included."""
    for entry in _layers(config):
        yield entry
        inner = entry.get("config")
        if isinstance(inner, Mapping):
            yield from entries(inner)


def name_of(entry: Entry) -> str:
    """The layer's name."""
    return str(settings(entry).get("name", ""))


def settings(entry: Entry) -> Mapping[str, Any]:
    """The arguments of its constructor."""
    config = entry.get("config")
    return config if isinstance(config, Mapping) else {}


def entry_named(config: Mapping[str, Any], name: str) -> Entry:
    """The layer of that name; ObstacleError if there is none."""
    for entry in entries(config):
        if name_of(entry) == name:
            return entry
    raise ObstacleError(f'the configuration has no layer "{name}"')


def each(config: Mapping[str, Any], change: Callable[[Entry], Entry]) -> dict[str, Any]:
    """The model with every layer changed."""
    layers = []
    for entry in _layers(config):
        changed = dict(change(entry))
        if "layers" in settings(changed):
            changed["config"] = each(settings(changed), change)
        layers.append(changed)
    return {**config, "layers": layers}


def without_shapes(config: Mapping[str, Any]) -> dict[str, Any]:
    """The model without the shapes that its layers were built for: they are found anew."""
    return each(config, lambda e: {key: e[key] for key in e if key != "build_config"})


def with_settings(config: Mapping[str, Any], name: str, **changes: Any) -> dict[str, Any]:
    """The model with other constructor arguments for one layer."""
    return each(
        config,
        lambda e: {**e, "config": {**settings(e), **changes}} if name_of(e) == name else e,
    )


def with_class(config: Mapping[str, Any], name: str, class_name: str, **arguments: Any) -> Any:
    """The model with another layer in the place, and under the name, of one."""
    return each(
        config,
        lambda e: {**e, **layer(class_name, name=name, **arguments)} if name_of(e) == name else e,
    )


def with_layer_before(config: Mapping[str, Any], name: str, new: Entry) -> dict[str, Any]:
    """The stack with one layer more, before the one named."""
    layers = [[new, e] if name_of(e) == name else [e] for e in _layers(config)]
    return each({**config, "layers": [e for pair in layers for e in pair]}, lambda e: e)


def layer(class_name: str, **arguments: Any) -> dict[str, Any]:
    """A layer of Keras's as its configuration has it."""
    return {
        "module": "keras.layers",
        "class_name": class_name,
        "config": arguments,
        "registered_name": None,
    }


def _layers(config: Mapping[str, Any]) -> Sequence[Entry]:
    """A model's layers; ObstacleError where that is not what stands there. A layer has none."""
    layers = config.get("layers", ())
    if not isinstance(layers, list | tuple) or not all(isinstance(e, Mapping) for e in layers):
        raise ObstacleError("the model's configuration has no list of layers")
    return layers
