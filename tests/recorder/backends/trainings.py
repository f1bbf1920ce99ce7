"""Train the same models on the framework that ``KERAS_BACKEND`` names, with and without a recorder.

A program, for Keras runs on one framework per process: ``python trainings.py DIRECTORY`` writes a
trace per case to the directory, and ``report.json``.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BATCH = 32
N_BATCHES = 3


COMPARED = (
    "mlp",
    "smooth_activations",
    "cnn",
    "smooth_residual",
    "plain_normalization",
    "nested",
    "shared",
    "recurrent",
    "plain_attention",
    "two_outputs",
    "subclassed",
)
"""Cases without random numbers, which no two frameworks have in common."""

FURTHER = ("batch_normalization", "residual", "attention", "gradient_accumulation", "bfloat16")
"""Further cases that are to be left bit-identical."""

MODES: dict[str, dict[str, Any]] = {
    "eager": {"run_eagerly": True},
    "uncompiled": {"jit_compile": False},
    "compiled": {"jit_compile": True},
    "several_steps": {"steps_per_execution": 2},
}

MODES_OF = {
    "tensorflow": (),
    "jax": tuple(f"batch_normalization-{mode}" for mode in MODES),
    "torch": ("batch_normalization-eager",),
}
"""Further ways of running a case, per framework."""


def main(directory: Path) -> None:
    import keras

    from deeplocalize.recorder import Recorder

    directory.mkdir(parents=True, exist_ok=True)
    backend = keras.backend.backend()
    report: dict[str, bool] = {}
    for key, case, options in trainings(backend):
        keras.config.set_dtype_policy(case.policy)
        plain = fit(case, options, [])
        recorded = fit(case, options, [Recorder(directory / f"{key}.h5", tensors=always)])
        report[key] = plain == recorded
    (directory / "report.json").write_text(json.dumps(report))


def trainings(backend: str) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    from tests.recorder.models import CASES

    for name in (*COMPARED, *FURTHER):
        yield name, CASES[name], {}
    for key in MODES_OF[backend]:
        name, mode = key.split("-")
        yield key, CASES[name], MODES[mode]


def always(iteration: int) -> bool:
    return True


def fit(case: Any, options: dict[str, Any], callbacks: list[Any]) -> Any:
    """All that a training leaves behind, as bytes: history, weights, optimizer."""
    import keras
    import numpy as np

    keras.utils.set_random_seed(7)
    model = case.build()
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    metrics = None if isinstance(case.labels, dict) else ["accuracy"]
    model.compile(optimizer, case.loss(), metrics=metrics, **options)
    n = N_BATCHES * BATCH
    labels = keras.tree.map_structure(lambda y: y[:n], case.labels)
    model(case.x[:1])
    rng = np.random.default_rng(1)
    model.set_weights([spread(rng, w) for w in model.get_weights()])
    history = model.fit(
        case.x[:n], labels, batch_size=BATCH, shuffle=False, verbose=0, callbacks=callbacks
    ).history
    variables = [*model.variables, *optimizer.variables]
    return repr(history), [np.asarray(keras.ops.convert_to_numpy(v)).tobytes() for v in variables]


def spread(rng: Any, weight: Any) -> Any:
    """Values for a weight: the same on every framework, whose initializers differ."""
    if weight.ndim < 2:
        return weight + 0.1 * rng.random(weight.shape)
    return rng.standard_normal(weight.shape) / (weight.size / weight.shape[-1]) ** 0.5


if __name__ == "__main__":
    root = Path(__file__).parents[3]
    sys.path.insert(0, str(root))
    import conftest  # noqa: F401  # makes the checkout importable as deeplocalize

    main(Path(sys.argv[1]))
