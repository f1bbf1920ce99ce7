"""What an observer of a training step is given, and that observing changes nothing."""

import numpy as np
import pytest

from deeplocalize.recorder.numpynet import (
    BatchNormalization,
    Dense,
    Dropout,
    Flatten,
    ReLU,
    Sequential,
    Softmax,
)
from deeplocalize.traces.schema import Kind, Phase

from .builders import Keeper, classifier, samples


def observed_step(network: Sequential, sample_weight: bool = False) -> Keeper:
    keeper = Keeper()
    network.taps.append(keeper)
    x, y = samples(8)
    network.train_on_batch(x, y, np.ones(8) if sample_weight else None)
    return keeper


def with_every_kind() -> Sequential:
    network = Sequential(seed=0)
    for layer in (
        Dense(5, "tanh", input_shape=(4,), name="hidden"),
        BatchNormalization(name="normal"),
        Dropout(0.5, name="drop"),
        Dense(3, name="logits"),
        Softmax(name="softmax"),
    ):
        network.add(layer)
    network.compile("adam", "categorical_crossentropy")
    return network


def test_tensors_come_in_execution_order() -> None:
    keeper = observed_step(with_every_kind(), sample_weight=True)
    assert [(s.kind, s.layer, s.tensor) for s in keeper.seen] == [
        (Kind.INPUT, None, ""),
        (Kind.SAMPLE_WEIGHT, None, ""),
        (Kind.LABEL, None, ""),
        (Kind.WEIGHT, "hidden", "kernel"),
        (Kind.WEIGHT, "hidden", "bias"),
        (Kind.WEIGHT, "normal", "gamma"),
        (Kind.WEIGHT, "normal", "beta"),
        (Kind.WEIGHT, "logits", "kernel"),
        (Kind.WEIGHT, "logits", "bias"),
        (Kind.PREACTIVATION, "hidden", ""),
        (Kind.OUTPUT, "hidden", ""),
        (Kind.OUTPUT, "normal", ""),
        (Kind.OUTPUT, "drop", ""),
        (Kind.OUTPUT, "logits", ""),
        (Kind.OUTPUT, "softmax", ""),
        (Kind.LOSS, None, ""),
        (Kind.OUTPUT_GRADIENT, "logits", ""),
        (Kind.WEIGHT_GRADIENT, "logits", "kernel"),
        (Kind.WEIGHT_GRADIENT, "logits", "bias"),
        (Kind.OUTPUT_GRADIENT, "drop", ""),
        (Kind.OUTPUT_GRADIENT, "normal", ""),
        (Kind.WEIGHT_GRADIENT, "normal", "gamma"),
        (Kind.WEIGHT_GRADIENT, "normal", "beta"),
        (Kind.OUTPUT_GRADIENT, "hidden", ""),
        (Kind.PREACTIVATION_GRADIENT, "hidden", ""),
        (Kind.WEIGHT_GRADIENT, "hidden", "kernel"),
        (Kind.WEIGHT_GRADIENT, "hidden", "bias"),
        (Kind.WEIGHT_UPDATE, "hidden", "kernel"),
        (Kind.WEIGHT_UPDATE, "hidden", "bias"),
        (Kind.WEIGHT_UPDATE, "normal", "gamma"),
        (Kind.WEIGHT_UPDATE, "normal", "beta"),
        (Kind.WEIGHT_UPDATE, "logits", "kernel"),
        (Kind.WEIGHT_UPDATE, "logits", "bias"),
        (Kind.STATE, "normal", "moving_mean"),
        (Kind.STATE, "normal", "moving_variance"),
    ]


def test_phases_follow_each_other() -> None:
    phases = [s.kind.phase for s in observed_step(with_every_kind()).seen]
    assert list(dict.fromkeys(phases)) == list(Phase)
    assert phases == sorted(phases, key=list(Phase).index)


def test_a_fused_loss_has_a_gradient_by_the_last_preactivation_but_not_by_the_output() -> None:
    keeper = observed_step(classifier())
    _, y = samples(8)
    wanted = (keeper.values(Kind.OUTPUT, "classes") - y) / 8
    found = keeper.values(Kind.PREACTIVATION_GRADIENT, "classes")
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-8)
    assert (Kind.OUTPUT_GRADIENT, "classes") not in [(s.kind, s.layer) for s in keeper.seen]


def test_an_update_is_the_weight_after_the_step_minus_the_weight_before() -> None:
    network = classifier("adam")
    keeper = observed_step(network)
    before = keeper.values(Kind.WEIGHT, "hidden", "kernel")
    update = keeper.values(Kind.WEIGHT_UPDATE, "hidden", "kernel")
    assert np.abs(update).max() > 0
    np.testing.assert_array_equal(update, network.layers[0].weights["kernel"] - before)


def test_layers_before_the_first_that_learns_have_gradients_too() -> None:
    network = Sequential(seed=0)
    for layer in (Flatten(input_shape=(4,), name="flat"), ReLU(name="relu"), Dense(3)):
        network.add(layer)
    network.compile("sgd", "mse")
    keeper = observed_step(network)
    assert keeper.values(Kind.OUTPUT_GRADIENT, "flat").shape == (8, 4)


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam"])
def test_nothing_handed_over_changes_afterwards(optimizer: str) -> None:
    network = with_every_kind()
    network.compile(optimizer, "categorical_crossentropy")
    keeper = observed_step(network)
    x, y = samples(8)
    for _ in range(3):
        network.train_on_batch(x, y)
    network.predict(x)
    for seen in keeper.seen:
        np.testing.assert_array_equal(seen.values, seen.copy)


def test_observing_does_not_change_the_training() -> None:
    x, y = samples(64)
    free, watched = with_every_kind(), with_every_kind()
    watched.taps.append(Keeper())
    for network in (free, watched):
        network.fit(x, y, epochs=3, batch_size=8, verbose=0)
    for weight, same in zip(free.get_weights(), watched.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)


def test_every_tap_sees_every_tensor() -> None:
    network = classifier()
    keepers = Keeper(), Keeper()
    network.taps.extend(keepers)
    network.train_on_batch(*samples(4))
    assert len(keepers[0].seen) == len(keepers[1].seen) > 0


def test_nan_in_the_input_is_carried_to_the_loss_without_a_warning() -> None:
    x, y = samples(8)
    x[3, 1] = np.nan
    network = classifier()
    with np.errstate(all="raise"):
        assert np.isnan(network.train_on_batch(x, y).loss)
