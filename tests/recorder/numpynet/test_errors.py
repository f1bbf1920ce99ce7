"""A wrong program is told what was wanted, what was found and what to do."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deeplocalize.recorder.numpynet import (
    SGD,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    MaxPooling2D,
    Sequential,
)

from .builders import classifier, samples


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ({"optimizer": "adm"}, "unknown optimizer 'adm'; did you mean 'adam'"),
        ({"loss": "categorical_crosentropy"}, "did you mean 'categorical_crossentropy'"),
        ({"loss": 3}, "unknown loss 3"),
        ({"metrics": ["acuracy_binary"]}, "unknown metric 'acuracy_binary'"),
    ],
)
def test_an_unknown_name_is_answered_with_close_ones(names: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Sequential().compile(**names)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Dense(), "wants a positive number of outputs"),
        (lambda: Dense(0, name="fc"), "Dense 'fc': .* found 0"),
        (lambda: Dense(3, "rellu"), "unknown activation 'rellu'; did you mean 'relu'"),
        (lambda: Conv2D(0, 3), "wants a positive number of filters, found 0"),
        (lambda: Conv2D(3, 0), "window size must be one or two positive ints, found 0"),
        (lambda: Conv2D(3, 3, padding="full"), "padding must be 'same' or 'valid', found 'full'"),
        (lambda: MaxPooling2D(2, (1, -1)), "strides must be"),
        (lambda: Dropout(1.0), r"in \[0, 1\), found 1.0"),
        (lambda: Embedding(0, 3), "wants positive sizes"),
        (lambda: SGD(-1.0), "learning_rate must be >= 0, found -1.0"),
        (lambda: SGD(momentum=2), r"momentum must be in \[0, 1\], found 2"),
        (lambda: Sequential(dtype="int8"), "dtype: wants one of float32, float64, found 'int8'"),
    ],
)
def test_an_impossible_argument_is_refused(make: Callable[[], Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()


def test_an_unknown_initializer_is_refused_when_the_weights_are_made() -> None:
    layer = Dense(2, kernel_initializer="glorot", input_shape=(2,))
    with pytest.raises(ValueError, match="unknown initializer 'glorot'; did you mean 'glorot_"):
        Sequential([layer])


@pytest.mark.parametrize(
    ("layers", "complaint"),
    [
        ([Dense(4, input_shape=(3,)), Dense(2, num_inputs=5, name="fc")], r"fc: wants .*\(5,\)"),
        ([Dense(4, input_shape=(3,)), Conv2D(2, 3, name="conv")], "conv: wants images"),
        ([Conv2D(2, 5, input_shape=(3, 3, 1), name="conv")], "conv: windows of .5, 5. do not fit"),
        ([Flatten(), Embedding(3, 2, name="words")], "Embedding 'words': must be the first layer"),
        ([Dense(2, name="fc"), Dense(2, name="fc")], "a layer named 'fc' is there already"),
    ],
)
def test_layers_that_do_not_fit_each_other_are_named(layers: list[Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Sequential(layers)


def test_only_layers_can_be_added() -> None:
    with pytest.raises(TypeError, match="wants a layer of this package, found str"):
        Sequential().add("dense")  # type: ignore[arg-type]  # the error under test


def test_training_before_compile_is_refused() -> None:
    with pytest.raises(ValueError, match=r"is not compiled; call compile\(loss="):
        Sequential([Dense(3)]).fit(*samples(4))


def test_a_network_without_layers_is_refused() -> None:
    with pytest.raises(ValueError, match=r"has no layers; add\(\) some first"):
        Sequential().predict(np.ones((2, 2)))


@pytest.mark.parametrize(
    ("loss", "y", "complaint"),
    [
        ("categorical_crossentropy", np.zeros(4), "one-hot encode them, or use sparse_cat"),
        ("sparse_categorical_crossentropy", np.eye(4)[:, :3], "use categorical_crossentropy"),
        ("sparse_categorical_crossentropy", np.array([0, 1, 2, 3]), "from 0 to 2 .* found 0 to 3"),
        ("sparse_categorical_crossentropy", np.array([0, -1, 2, 1]), "found -1 to 2"),
        ("mse", np.zeros((4, 2)), r"output shape \(4, 3\), found \(4, 2\)"),
    ],
)
def test_labels_in_the_wrong_encoding_are_explained(loss: str, y: Any, complaint: str) -> None:
    network = classifier()
    network.compile("sgd", loss)
    with pytest.raises(ValueError, match=complaint):
        network.fit(samples(4)[0], y, verbose=0)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"x": np.ones((4, 5))}, r"hidden: wants samples of shape \(4,\), found \(5,\)"),
        ({"y": np.ones((3, 3))}, r"y: wants as many samples as x.* found shape \(3, 3\)"),
        ({"x": np.ones((0, 4)), "y": np.ones((0, 3))}, "at least one"),
        ({"batch_size": 0}, "batch_size: wants a positive whole number, found 0"),
        ({"sample_weight": np.ones(4), "class_weight": {0: 1.0}}, "at most one, found both"),
        ({"sample_weight": np.ones((4, 2))}, "sample_weight: wants shape"),
        ({"validation_split": 0.9}, "validation_split=0.9: leaves 0 of 4"),
    ],
)
def test_data_that_do_not_fit_are_refused(arguments: dict[str, Any], complaint: str) -> None:
    x, y = samples(4)
    with pytest.raises(ValueError, match=complaint):
        classifier().fit(**{"x": x, "y": y, "verbose": 0, **arguments})


def test_a_number_that_the_embedding_does_not_have_is_refused() -> None:
    network = Sequential([Embedding(5, 2, name="words")])
    with pytest.raises(ValueError, match="words: wants whole numbers from 0 to 4, found 0 to 5"):
        network.predict(np.array([[0, 5]]))


@pytest.mark.parametrize(
    ("weights", "complaint"),
    [
        ([], "wants 4 arrays, found 0"),
        ([np.ones((4, 6)), np.ones(5), np.ones((6, 3)), np.ones(3)], "hidden/bias wants shape"),
    ],
)
def test_weights_of_another_network_are_refused(weights: list[Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        classifier().set_weights(weights)
