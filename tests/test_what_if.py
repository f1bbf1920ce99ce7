"""The what-if proof with real trainings: what is replayed is what was recorded."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import sklearn.datasets
from keras import layers
from numpy.typing import NDArray

from deeplocalize.analyzer.cli import main
from deeplocalize.analyzer.whatif import keras_training
from deeplocalize.analyzer.whatif.configuration import with_settings
from deeplocalize.analyzer.whatif.obstacle import ObstacleError
from deeplocalize.analyzer.whatif.recipe import Recipe, Setup, recipe_of
from deeplocalize.recorder import Recorder
from deeplocalize.traces import open_trace

from .recorder.models import CASES

FAR = 1e12

# Their moving averages are kept as the first step leaves them.
AVERAGING = ("residual", "plain_normalization")
REPLAYABLE = (
    "mlp", "smooth_activations", "cnn", "residual", "plain_normalization", "nested", "shared",
    "recurrent", "bidirectional", "plain_attention", "frozen", "schedule_and_clipping",
)  # fmt: skip


def recorded(name: str, path: Path) -> tuple[Any, Any, Recipe]:
    """Answers before and after an epoch of training in the given order, and its recipe."""
    case = CASES[name]
    keras.utils.set_random_seed(7)
    model = case.build()
    model.compile(case.optimizer(), case.loss())
    before = model.predict(case.x, verbose=0)
    model.fit(
        case.x, case.labels, batch_size=20, shuffle=False, verbose=0,
        callbacks=[Recorder(path, replayable=True)],
    )  # fmt: skip
    with open_trace(path) as trace:
        return before, model.predict(case.x, verbose=0), recipe_of(trace.reader)


def answers(setup: Setup, recipe: Recipe) -> NDArray[Any]:
    return keras_training.outputs_of(setup, recipe, recipe.samples, recipe.samples, 1, FAR)


def steps(recipe: Recipe, n_steps: int) -> Setup:
    return Setup(**{**vars(recipe.setup), "n_steps": n_steps})


@pytest.mark.parametrize("name", REPLAYABLE)
def test_a_replay_in_the_same_order_answers_as_the_recorded_training(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after, recipe = recorded(name, tmp_path / "run.h5")
    np.testing.assert_array_equal(recipe.samples.x, CASES[name].x)
    assert recipe.setup.n_steps == 5
    near = 0.05 if name in AVERAGING else 1e-5
    np.testing.assert_allclose(answers(steps(recipe, 0), recipe), before, rtol=1e-4, atol=near)
    monkeypatch.setattr(keras_training, "epoch_order", lambda rng, n: np.arange(n))
    np.testing.assert_allclose(answers(recipe.setup, recipe), after, rtol=1e-4, atol=near)


def test_what_keras_refuses_is_an_obstacle(tmp_path: Path) -> None:
    *_, recipe = recorded("mlp", tmp_path / "run.h5")
    for change in ({"units": -1}, {"units": "many"}, {"activation": "no such"}):
        config = with_settings(recipe.setup.config, "out", **change)
        with pytest.raises(ObstacleError, match="Keras refuses it"):
            answers(Setup(**{**vars(recipe.setup), "config": config}), recipe)


def test_the_deadline_ends_a_replay(tmp_path: Path) -> None:
    *_, recipe = recorded("mlp", tmp_path / "run.h5")
    with pytest.raises(TimeoutError):
        keras_training.outputs_of(recipe.setup, recipe, recipe.samples, recipe.samples, 1, 0.0)


def test_random_numbers_go_on_as_if_nothing_was_replayed(tmp_path: Path) -> None:
    *_, recipe = recorded("mlp", tmp_path / "run.h5")
    np.random.seed(5)
    expected = np.random.random(3)
    np.random.seed(5)
    first = answers(recipe.setup, recipe)
    np.testing.assert_array_equal(np.random.random(3), expected)
    np.testing.assert_array_equal(answers(recipe.setup, recipe), first)


def test_trying_the_fixes_confirms_the_first_suspect_and_shows_what_helps_less(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Biases far below zero kill every unit, which another activation would help, too."""
    x, y = sklearn.datasets.load_digits(return_X_y=True)
    x = (x / 16).astype("float32")
    keras.utils.set_random_seed(0)
    stuck = layers.Dense(64, activation="relu", bias_initializer=keras.initializers.Constant(-10.0))
    hidden = layers.Dense(64, activation="relu")
    model = keras.Sequential(
        [keras.Input((64,)), stuck, hidden, layers.Dense(10, activation="softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    trace = str(tmp_path / "run.h5")
    model.fit(x, y, epochs=4, verbose=0, callbacks=[Recorder(trace, replayable=True)])
    assert main([trace, "--format", "json"]) == 1
    guessed = json.loads(capsys.readouterr().out)
    assert guessed["suspects"][0]["cause"] == "weight_initialization"
    assert guessed["verification"] is None

    assert main([trace, "--format", "json", "--verify"]) == 1
    verified = json.loads(capsys.readouterr().out)
    first = verified["suspects"][0]
    assert (first["cause"], first["trial"]["status"]) == ("weight_initialization", "verified")
    assert first["trial"]["gain"]["mean"] > 0.5
    other = next(one for one in verified["suspects"] if one["cause"] == "hidden_activation")
    assert 0 < other["trial"]["gain"]["mean"] < first["trial"]["gain"]["mean"]
    assert all(one["cause"] != "output_activation" for one in verified["suspects"])
    assert verified["verification"]["baseline"]["mean"] < 0.1
