"""Watching online: healthy trainings go on, broken ones stop at once and are explained."""

import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from deeplocalize.analyzer import Verdict, analyze
from deeplocalize.recorder import DeepLocalize
from deeplocalize.recorder.numpynet import Dense, Sequential
from deeplocalize.traces import Kind, open_trace

_digits = load_digits()
X = (_digits.data / 16).astype("float32")
Y = np.eye(10, dtype="float32")[_digits.target]
N_BATCHES = -(-len(X) // 32)


def numpy_classifier(activation: str = "softmax", optimizer: str = "adam") -> Any:
    model = Sequential(seed=0)
    model.add(Dense(32, "relu", input_shape=(64,), name="hidden"))
    model.add(Dense(10, activation, name="classes"))
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    return model


def keras_classifier(activation: str = "softmax", optimizer: str = "adam") -> Any:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(32, activation="relu", name="hidden"),
            keras.layers.Dense(10, activation=activation, name="classes"),
        ]
    )
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    return model


both = pytest.mark.parametrize("make", [numpy_classifier, keras_classifier])


@both
@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_a_healthy_softmax_training_is_left_alone(
    make: Callable[..., Any], optimizer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, watched = make(optimizer=optimizer), make(optimizer=optimizer)
    # The original's signature, with nothing in it that is true.
    watch = DeepLocalize(None, "outputs", 99, -1, time.time())
    for model, callbacks in ((plain, []), (watched, [watch])):
        model.fit(X, Y, epochs=4, verbose=0, callbacks=callbacks)
    assert watch.diagnosis is not None
    assert watch.diagnosis.verdict is Verdict.HEALTHY
    assert watch.diagnosis.run.n_iterations == 4 * N_BATCHES
    assert "looks healthy" in capsys.readouterr().out
    for weight, same in zip(plain.get_weights(), watched.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)


@both
def test_a_training_that_learns_slowly_is_not_stopped(make: Callable[..., Any]) -> None:
    model, watch = make(optimizer="sgd"), DeepLocalize()
    model.fit(X, Y, epochs=3, verbose=0, callbacks=[watch])
    assert watch.diagnosis is not None
    assert watch.diagnosis.run.n_iterations == 3 * N_BATCHES
    assert watch.diagnosis.run.ending == "completed"


@both
def test_a_nan_stops_the_training_in_its_own_batch(
    make: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = X.copy()
    x[200, 5] = np.inf
    path = tmp_path / "run.h5"
    watch = DeepLocalize(path=path)
    make().fit(x, Y, epochs=3, shuffle=False, verbose=0, callbacks=[watch])
    with open_trace(path) as trace:
        assert trace.n_iterations == 200 // 32 + 1
        assert trace.ended == {"status": "stopped"}
    out = capsys.readouterr().out
    assert "DeepLocalize stopped the training." in out
    assert "batch: 6 of epoch 0 (iteration 6)" in out
    assert "kind:  input" in out
    assert str(path) in out
    assert watch.diagnosis == analyze(path)


@both
def test_the_faulty_layer_is_named(
    make: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    model = make()
    weights = model.get_weights()
    weights[2][0, 0] = np.nan
    model.set_weights(weights)
    watch = DeepLocalize()
    model.fit(X, Y, epochs=1, verbose=0, callbacks=[watch])
    assert watch.diagnosis is not None
    fault = watch.diagnosis.first_fault
    assert fault is not None
    assert fault.layer is not None
    assert (fault.layer.index, fault.layer.name, fault.place.kind) == (1, "classes", Kind.WEIGHT)
    assert '1 "classes" (Dense)' in capsys.readouterr().out


def test_a_layer_that_is_dead_stops_the_training_after_the_rules_patience() -> None:
    model = numpy_classifier()
    model.layers[0].weights["bias"][:] = -100
    watch = DeepLocalize()
    model.fit(X, Y, epochs=5, verbose=0, callbacks=[watch])
    assert watch.diagnosis is not None
    assert watch.diagnosis.first_fault is not None
    assert watch.diagnosis.first_fault.symptom == "dead_units"
    assert watch.diagnosis.run.n_iterations <= 40


def test_without_a_path_no_trace_is_kept() -> None:
    watch = DeepLocalize()
    numpy_classifier().fit(X, Y, epochs=1, verbose=0, callbacks=[watch])
    assert not watch.path.exists()
    folder = watch.path.parent
    del watch
    assert not folder.exists()


def test_a_diagnosis_that_fails_does_not_end_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> Any:
        raise RuntimeError("a defect of ours")

    monkeypatch.setattr("deeplocalize.recorder.online.analyze", broken)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        numpy_classifier().fit(X, Y, epochs=1, verbose=0, callbacks=[DeepLocalize()])
    assert len([w for w in caught if "no diagnosis" in str(w.message)]) == 1
