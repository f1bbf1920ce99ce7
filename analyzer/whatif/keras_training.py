"""Trains a setup on recorded samples: the one module of the analyzer that imports Keras.

It is imported by `protocol` alone, and only when asked for.
"""

import copy
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from .obstacle import ObstacleError
from .recipe import Recipe, Samples, Setup
from .safety import FUNCTIONAL_MODULE

# The clock is looked at after this many steps.
STEPS_AT_ONCE = 250

# Samples handed to Keras at a time, to train on and to answer to.
CHUNK_BYTES = 64 << 20
AT_ONCE = 256


def outputs_of(
    setup: Setup, recipe: Recipe, training: Samples, judged: Samples, seed: int, deadline: float
) -> NDArray[Any]:
    """Train a model on samples; what it then answers to others.

    Everything random comes from the seed, apart from what the framework does in parallel.

    Parameters
    ----------
    training, judged
        Prepared as the setup wants them.
    deadline
        On the clock of `time.monotonic`.

    Raises
    ------
    ObstacleError
        Keras cannot make or train this model.
    TimeoutError
        The deadline has passed.
    """
    with _seeded(seed):
        try:
            model = _model(setup, recipe, training)
            _train(model, training, recipe.batch_size, setup.n_steps, seed, deadline)
            return _answers(model, judged.x)
        except (TimeoutError, ObstacleError):
            raise
        except Exception as error:  # a configuration from a file may make Keras raise anything
            summary = next(iter(str(error).strip().splitlines()), "")
            raise ObstacleError(
                f"Keras refuses it ({type(error).__name__}: {summary[:200]})"
            ) from error


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seeds for Keras; Python's and NumPy's random numbers go on afterwards as if untouched."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        keras.utils.set_random_seed(seed)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def _model(setup: Setup, recipe: Recipe, training: Samples) -> Any:
    is_functional = setup.model_class == "Functional"
    document = {
        "module": FUNCTIONAL_MODULE if is_functional else "keras",
        "class_name": setup.model_class,
        "config": setup.config,
    }
    model = _made(document)
    model(training.x[:1])  # builds what was not built when its configuration was taken
    _put_back(model, setup, recipe)
    loss = setup.loss
    if not isinstance(loss, str):
        loss = _made({"module": "keras.losses", **loss})
    optimizer = _made({"module": "keras.optimizers", **setup.optimizer})
    # Compiling a step costs more than the few hundred steps of a replay gain from it.
    model.compile(optimizer=optimizer, loss=loss, jit_compile=False)
    return model


def _made(document: Mapping[str, Any]) -> Any:
    # From a copy: models take their configuration apart.
    return keras.saving.deserialize_keras_object(copy.deepcopy(dict(document)), safe_mode=True)


def _put_back(model: Any, setup: Setup, recipe: Recipe) -> None:
    """Give the model the recorded weights, except where a fix has another shape or begins anew."""
    places = dict(_variables(model, ""))
    is_changed = setup != recipe.setup
    for weight in recipe.weights:
        if setup.redrawn.intersection(weight.path.split("/")):
            continue
        variable = places.get((weight.path, weight.name))
        if variable is not None and tuple(variable.shape) == weight.values.shape:
            variable.assign(weight.values)
        elif not is_changed:
            raise ObstacleError(f"the weight {weight.name} of {weight.path} has no place any more")


def _variables(model: Any, prefix: str) -> Iterator[tuple[tuple[str, str], Any]]:
    """Every variable by its layer's path and its own name, as the recorder calls them."""
    children = model.layers if isinstance(model, keras.Model) else getattr(model, "_layers", ())
    for layer in children:
        path = prefix + layer.name
        for variable in (*layer._trainable_variables, *layer._non_trainable_variables):
            yield (path, variable.name), variable
        yield from _variables(layer, path + "/")


def _answers(model: Any, x: NDArray[Any]) -> NDArray[Any]:
    # `predict` would compile a step for each replay, which takes longer than its few answers.
    chunks = [model(x[i : i + AT_ONCE], training=False) for i in range(0, len(x), AT_ONCE)]
    return np.concatenate([keras.ops.convert_to_numpy(chunk) for chunk in chunks])


def epoch_order(rng: np.random.Generator, n: int) -> NDArray[np.intp]:
    """Every sample once."""
    return rng.permutation(n).astype(np.intp)


def _train(
    model: Any, samples: Samples, batch_size: int, n_steps: int, seed: int, deadline: float
) -> None:
    """As `fit` does: epochs in an order of their own, joined so that Keras starts seldom."""
    rng = np.random.default_rng(seed)
    row_bytes = max(samples.x[:1].nbytes + samples.y[:1].nbytes, 1)
    at_once = max(1, min(STEPS_AT_ONCE, CHUNK_BYTES // (row_bytes * batch_size)))
    order = np.empty(0, np.intp)
    while n_steps > 0:
        n = min(at_once, n_steps)
        while len(order) < n * batch_size:
            order = np.concatenate([order, epoch_order(rng, len(samples))])
        chunk, order = samples.at(order[: n * batch_size]), order[n * batch_size :]
        history = model.fit(
            chunk.x, chunk.y, sample_weight=chunk.weight, batch_size=batch_size, shuffle=False,
            verbose=0, callbacks=[keras.callbacks.TerminateOnNaN()],
        )  # fmt: skip
        if time.monotonic() > deadline:
            raise TimeoutError
        if not np.isfinite(history.history["loss"][-1]):
            return
        n_steps -= n
