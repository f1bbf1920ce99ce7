"""Networks in files: everything comes back, and nothing but data is ever read."""

from pathlib import Path

import numpy as np
import pytest

from deeplocalize.recorder.numpynet import (
    ELU,
    SGD,
    Adam,
    AveragePooling2D,
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Huber,
    LeakyReLU,
    MaxPooling2D,
    Sequential,
)

from .builders import classifier, samples


def test_a_loaded_network_goes_on_exactly_where_the_saved_one_stopped(tmp_path: Path) -> None:
    x, y = samples(32)
    network = classifier("adam")
    network.fit(x, y, shuffle=False, verbose=0)
    network.save(tmp_path / "network.npz")
    loaded = Sequential.load(tmp_path / "network.npz")
    for each in (network, loaded):
        each.fit(x, y, shuffle=False, verbose=0)
    for weight, same in zip(network.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)
    assert loaded.metrics == ("accuracy",)


def test_every_layers_arguments_come_back(tmp_path: Path) -> None:
    network = Sequential(dtype="float64", name="images", seed=0)
    for layer in (
        Conv2D(2, (3, 2), 2, "same", "elu", input_shape=(8, 8, 1), lr_rate=0.5),
        LeakyReLU(0.1),
        MaxPooling2D(2, 1),
        AveragePooling2D(2, padding="same"),
        BatchNormalization(momentum=0.5, scale=False),
        Flatten(),
        Dropout(0.25),
        Dense(3, use_bias=False, kernel_initializer="he_normal"),
        ELU(0.5),
    ):
        network.add(layer)
    network.compile(SGD(0.5, momentum=0.25, nesterov=True), Huber(0.75))
    network.save(tmp_path / "network.npz")
    loaded = Sequential.load(tmp_path / "network.npz")
    assert (loaded.name, loaded.dtype) == ("images", "float64")
    as_stored = [{**layer.config(), "class": layer.class_name} for layer in loaded.layers]
    assert as_stored == [{**layer.config(), "class": layer.class_name} for layer in network.layers]
    assert loaded.loss == network.loss
    assert loaded.optimizer.config() == network.optimizer.config()
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 1))
    np.testing.assert_array_equal(loaded.predict(x), network.predict(x))


def test_a_schedule_is_stored_as_its_present_value(tmp_path: Path) -> None:
    network = classifier()
    network.compile(Adam(lambda iteration: 0.5**iteration), "mse")
    network.train_on_batch(*samples(4))
    network.save(tmp_path / "network.npz")
    assert Sequential.load(tmp_path / "network.npz").optimizer.learning_rate == 0.5


def test_saving_leaves_no_other_file(tmp_path: Path) -> None:
    classifier().save(tmp_path / "network")
    assert [path.name for path in tmp_path.iterdir()] == ["network"]


@pytest.mark.parametrize("content", [b"", b"not a network", b"PK\x03\x04 damaged"])
def test_a_file_that_is_no_network_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"odd\.npz: not a network, or a damaged one"):
        Sequential.load(path)


def test_a_truncated_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "short.npz"
    classifier().save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="not a network, or a damaged one"):
        Sequential.load(path)


def test_pickled_objects_are_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "pickled.npz"
    np.savez(path, config=np.array([{"an": "object"}], dtype=object))
    with pytest.raises(ValueError, match="not a network, or a damaged one"):
        Sequential.load(path)


def test_an_unknown_layer_in_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "newer.npz"
    config = '{"name": "n", "dtype": "float32", "layers": [{"class": "Attention"}]}'
    np.savez(path, config=np.array(config))
    with pytest.raises(ValueError, match=r"damaged, or written by a newer release .*Attention"):
        Sequential.load(path)


def test_a_missing_file_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Sequential.load(tmp_path / "none.npz")
