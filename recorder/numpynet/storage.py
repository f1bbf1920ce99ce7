"""A network in a file: NumPy's ``.npz``, arrays and one JSON text, never pickled objects."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import Array

_CONFIG = "config"
_WEIGHT = "weight:"
_SLOT = "slot:"


@dataclass(frozen=True)
class Stored:
    """What a file holds: the configuration, weights in order, and optimizer slots by key."""

    config: Mapping[str, Any]
    weights: tuple[Array, ...]
    slots: Mapping[str, Array]


def write(path: str | Path, stored: Stored) -> None:
    """Write the file whole or not at all; an existing one is replaced."""
    target = Path(path)
    arrays: dict[str, Array] = {_CONFIG: np.array(json.dumps(stored.config))}
    arrays |= {f"{_WEIGHT}{i}": array for i, array in enumerate(stored.weights)}
    arrays |= {f"{_SLOT}{key}": array for key, array in stored.slots.items()}
    partial = target.with_name(target.name + ".part")
    with partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    partial.replace(target)


def read(path: str | Path) -> Stored:
    """Read what `write` wrote.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        Not such a file, or a damaged one.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        config = json.loads(str(arrays[_CONFIG]))
        n_weights = sum(name.startswith(_WEIGHT) for name in arrays)
        weights = tuple(arrays[f"{_WEIGHT}{i}"] for i in range(n_weights))
    except FileNotFoundError:
        raise
    except (OSError, EOFError, ValueError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path}: not a network, or a damaged one ({error}); wants a file written by "
            "Sequential.save"
        ) from error
    slots = {name[len(_SLOT) :]: a for name, a in arrays.items() if name.startswith(_SLOT)}
    return Stored(config, weights, slots)
