"""Who keeps the gradient from layers that do not learn, and what it takes to say so."""

import re
from dataclasses import replace
from typing import Any

import keras
import pytest

from deeplocalize.analyzer.causes import Cause, Suspect
from deeplocalize.analyzer.causes.cutoff import PASSING
from deeplocalize.analyzer.diagnosis import diagnose
from deeplocalize.traces.schema import Kind

from .runs import HEADER, LAYERS, FakeRun


def cut_off(class_name: str = "Own", module: str | None = None) -> FakeRun:
    """A run whose first layer is given no gradient, because of the class of the second or not."""
    layers = (LAYERS[0], replace(LAYERS[1], class_name=class_name), LAYERS[2])
    entry: dict[str, Any] = {"class_name": class_name, "module": module, "config": {"name": "mid"}}
    run = FakeRun(header=replace(HEADER, layers=layers, model_config={"layers": [entry]}))
    for tensor in ("kernel", "bias"):
        for kind in (Kind.WEIGHT_GRADIENT, Kind.WEIGHT_UPDATE):
            run.zero(slice(None), kind, "fc1", tensor)
    # Random features do no harm in a run that goes well.
    run.put(slice(None), Kind.METRIC, tensor="accuracy", mean=0.6)
    return run.zero(slice(None), Kind.OUTPUT_GRADIENT, "fc1")


def named(run: FakeRun) -> list[Suspect]:
    return [s for s in diagnose(run.reader()).suspects if s.cause is Cause.EXTRA_LAYER]


@pytest.mark.parametrize("class_name", ["Own", "Lambda"])
def test_the_layer_at_which_a_gradient_arrives_and_goes_no_further_is_named(
    class_name: str,
) -> None:
    (suspect,) = named(cut_off(class_name))
    assert suspect.layer is not None
    assert suspect.layer.name == "mid"
    assert "and none at layer 0" in suspect.evidence[-1]
    assert 0.5 < suspect.confidence < 0.8


def test_layers_of_keras_pass_gradients_on() -> None:
    assert not named(cut_off("Reshape", "keras.layers"))


@pytest.mark.parametrize(("class_name", "n_named"), [("Own", 1), ("Reshape", 0)])
def test_a_model_without_a_configuration_is_told_by_its_classes(
    class_name: str, n_named: int
) -> None:
    run = cut_off(class_name)
    run.header = replace(run.header, model_config=None)
    assert len(named(run)) == n_named


def test_a_gradient_that_arrives_behind_the_layer_will_do() -> None:
    run = cut_off().put(slice(None), Kind.OUTPUT_GRADIENT, "mid", n=-1)
    (suspect,) = named(run)
    assert 'layer 2 "fc2" (Dense), whose weights have one' in suspect.evidence[-1]


def test_without_a_gradient_anywhere_behind_it_only_a_lambda_is_named() -> None:
    for class_name, n_named in (("Own", 0), ("Lambda", 1)):
        run = cut_off(class_name)
        for kind in (Kind.OUTPUT_GRADIENT, Kind.WEIGHT_GRADIENT):
            for i, series in enumerate(run.header.series):
                if series.kind is kind:
                    run.statistics["n"][:, i] = -1
        assert len(named(run)) == n_named


def test_a_layer_that_is_given_a_gradient_is_not_cut_off() -> None:
    run = cut_off()
    i = run.index(Kind.OUTPUT_GRADIENT, "fc1")
    run.statistics["rms"][:, i] = 1e-3
    assert not named(run)


def test_a_softmax_that_no_gradient_reaches_is_cut_off_before_it_is_a_softmax() -> None:
    run = cut_off()
    first, *others = run.header.layers
    run.header = replace(run.header, layers=(replace(first, activation="softmax"), *others))
    first_suspect = diagnose(run.reader()).suspects[0]
    assert first_suspect.layer is not None
    assert (first_suspect.cause, first_suspect.layer.name) == (Cause.EXTRA_LAYER, "mid")


def test_layers_of_keras_that_take_windows_or_drop_values_are_not_taken_for_the_users_own() -> None:
    window = r"\w*(Pooling|Padding|Cropping|UpSampling|Dropout)[123]D"
    pattern = rf"{window}|Global\w+|\w*Dropout|\w*Noise"
    classes = (getattr(keras.layers, name) for name in dir(keras.layers))
    names = {one.__name__ for one in classes if isinstance(one, type)}
    named = {name for name in names if re.fullmatch(pattern, name)}
    assert len(named) > 30
    assert named <= PASSING
