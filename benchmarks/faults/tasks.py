"""Data with a learnable signal for the healthy programs, real and synthetic, all deterministic."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets

from .program import Goal

Array = NDArray[Any]


@dataclass(frozen=True)
class Data:
    """What is trained on. ``truth`` is what the answers should come to, whatever y looks like."""

    x: Array
    y: Array
    truth: Array
    goal: Goal


def load(task: Mapping[str, Any]) -> Data:
    """The data of a task: its name, and the arguments of its function."""
    arguments = {key: value for key, value in task.items() if key != "name"}
    return TASKS[task["name"]](**arguments)


# ---- tasks ------------------------------------------------------------------------------------


def _classes(x: Array, classes: Array, coding: str) -> Data:
    """Class labels as integers, as one-hot rows, or as one column of 0 and 1 or of -1 and 1."""
    classes = classes.astype(np.int64)
    column = classes.astype(np.float32).reshape(-1, *[1] * (classes.ndim == 1))
    y: Array = classes
    match coding:
        case "onehot":
            y = np.eye(classes.max() + 1, dtype=np.float32)[classes]
        case "binary":
            y = column
        case "signed":
            y = 2 * column - 1
    return Data(x.astype(np.float32), y, classes, Goal.CLASSES)


def _values(x: Array, y: Array) -> Data:
    y = y.reshape(len(y), -1).astype(np.float32) if y.ndim < 3 else y.astype(np.float32)
    return Data(x.astype(np.float32), y, y, Goal.VALUES)


def _standard(x: Array) -> Array:
    std = x.std(axis=0)
    result: Array = (x - x.mean(axis=0)) / np.where(std > 0, std, 1)
    return result


def _table(name: str, coding: str = "sparse", is_raw: bool = False) -> Data:
    """One of scikit-learn's real tables, as it is or standardised (digits: scaled to 0..1)."""
    bunch = {
        "iris": datasets.load_iris,
        "wine": datasets.load_wine,
        "breast_cancer": datasets.load_breast_cancer,
        "digits": datasets.load_digits,
        "diabetes": datasets.load_diabetes,
    }[name]()
    x = bunch.data
    if not is_raw:
        x = x / 16 if name == "digits" else _standard(x)
    if name == "diabetes":
        return _values(x, _standard(bunch.target))
    return _classes(x, bunch.target, coding)


def _digit_images(coding: str = "sparse") -> Data:
    bunch = datasets.load_digits()
    return _classes(bunch.images[..., None] / 16, bunch.target, coding)


def _digit_copies() -> Data:
    x = datasets.load_digits().data / 16
    return _values(x, x)


def _blobs(n: int, n_features: int, n_classes: int, coding: str = "sparse", seed: int = 0) -> Data:
    x, y = datasets.make_blobs(n, n_features, centers=n_classes, cluster_std=2.5, random_state=seed)
    return _classes(_standard(x), y, coding)


def _informative(n: int, n_features: int, n_classes: int, coding: str, seed: int = 0) -> Data:
    """Clusters on the corners of a hypercube: classes that no linear model separates well."""
    x, y = datasets.make_classification(
        n, n_features, n_informative=max(4, n_features // 2), n_redundant=1, n_classes=n_classes,
        n_clusters_per_class=3, class_sep=1.6, flip_y=0.02, random_state=seed,
    )  # fmt: skip
    return _classes(_standard(x), y, coding)


def _moons(n: int, coding: str = "binary", noise: float = 0.15, seed: int = 0) -> Data:
    x, y = datasets.make_moons(n, noise=noise, random_state=seed)
    return _classes(_standard(x), y, coding)


def _circles(n: int, coding: str = "binary", seed: int = 0) -> Data:
    x, y = datasets.make_circles(n, noise=0.08, factor=0.4, random_state=seed)
    return _classes(x, y, coding)


def _rare(n: int, seed: int = 0) -> Data:
    """Two classes of which one has a tenth of the samples."""
    x, y = datasets.make_classification(
        n, 10, n_informative=6, weights=[0.9], class_sep=2.0, flip_y=0.0, random_state=seed
    )
    return _classes(_standard(x), y, "binary")


def _uneven(n: int, seed: int = 0) -> Data:
    """Four classes of which one has most of the samples."""
    x, y = datasets.make_classification(
        n, 10, n_informative=6, n_classes=4, n_clusters_per_class=1, weights=[0.7, 0.15, 0.1],
        class_sep=1.8, flip_y=0.0, random_state=seed,
    )  # fmt: skip
    return _classes(_standard(x), y, "sparse")


def _friedman(n: int, noise: float = 0.5, seed: int = 0) -> Data:
    x, y = datasets.make_friedman1(n, 10, noise=noise, random_state=seed)
    return _values(_standard(x), _standard(y))


def _houses(n: int, seed: int = 0) -> Data:
    """A regression whose targets are positive and of order ten."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 8))
    return _values(x, 12 + 3 * np.tanh(x[:, 0] + x[:, 1]) + 2 * np.abs(x[:, 2]) + 0.3 * x[:, 3])


def _counts(n: int, seed: int = 0) -> Data:
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 6))
    return _values(x, random.poisson(np.exp(1 + 0.6 * x[:, 0] - 0.4 * x[:, 1])))


def _sine(n: int, seed: int = 0) -> Data:
    x = np.random.default_rng(seed).uniform(-3, 3, (n, 1))
    return _values(x, np.sin(2 * x))


def _several(n: int, seed: int = 0) -> Data:
    """Five targets that share a nonlinear cause."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 12))
    hidden = np.tanh(x @ random.normal(size=(12, 6)) / 2)
    return _values(x, _standard(hidden @ random.normal(size=(6, 5))))


def _tags(n: int, seed: int = 0) -> Data:
    """Six labels that do not exclude one another."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 16))
    truth = (np.tanh(x @ random.normal(size=(16, 12))) @ random.normal(size=(12, 6)) > 0.3) * 1
    return Data(x.astype(np.float32), truth.astype(np.float32), truth, Goal.LABELS)


def _sentences(n: int, length: int, coding: str = "binary", seed: int = 0) -> Data:
    """Token sequences whose class is the group of words that dominates."""
    random = np.random.default_rng(seed)
    n_classes = 2 if coding == "binary" else 4
    classes = random.integers(n_classes, size=n)
    noise = random.integers(20, 200, size=(n, length))
    signal = classes[:, None] * 5 + random.integers(5, size=(n, length))
    tokens = np.where(random.random((n, length)) < 0.3, signal, noise)
    data = _classes(tokens, classes, coding)
    return Data(tokens.astype(np.int32), data.y, data.truth, data.goal)


def _waves(n: int, length: int, coding: str = "sparse", seed: int = 0) -> Data:
    """Noisy sine waves of three frequencies."""
    random = np.random.default_rng(seed)
    classes = random.integers(3, size=n)
    time = np.linspace(0, 6, length)
    phase = random.uniform(0, 6, (n, 1))
    x = np.sin((classes[:, None] + 1) * time + phase) + 0.3 * random.normal(size=(n, length))
    return _classes(x[..., None], classes, coding)


def _forecast(n: int, length: int, seed: int = 0) -> Data:
    """The next value of a wave."""
    random = np.random.default_rng(seed)
    time = np.arange(length + 1) * 0.4 + random.uniform(0, 6, (n, 1))
    wave = np.sin(time) + 0.5 * np.sin(2.3 * time) + 0.05 * random.normal(size=time.shape)
    return _values(wave[:, :-1, None], wave[:, -1])


def _tagging(n: int, length: int, seed: int = 0) -> Data:
    """A class for each token, which depends on the token before it."""
    tokens = np.random.default_rng(seed).integers(1, 30, (n, length))
    before = np.concatenate([np.zeros((n, 1), int), tokens[:, :-1]], axis=1)
    truth = (tokens + before) // 10 % 3
    return Data(tokens.astype(np.int32), truth, truth, Goal.CLASSES)


def _bars(n: int, side: int, coding: str = "sparse", seed: int = 0) -> Data:
    """Noisy images of a horizontal bar, a vertical bar, or a cross."""
    random = np.random.default_rng(seed)
    classes = random.integers(3, size=n)
    images = random.uniform(0, 0.4, (n, side, side, 1))
    place = random.integers(1, side - 1, (n, 2))
    for image, kind, (i, j) in zip(images, classes, place, strict=True):
        if kind != 1:
            image[i] += 0.6
        if kind != 0:
            image[:, j] += 0.6
    return _classes(np.clip(images, 0, 1), classes, coding)


def _denoising(n: int, side: int, seed: int = 0) -> Data:
    """Images of bars, to be restored from noise."""
    random = np.random.default_rng(seed)
    clean = _bars(n, side, seed=seed).x
    return _values((clean + random.normal(0, 0.2, clean.shape)).clip(0, 1), clean)


def _brightness(n: int, side: int, seed: int = 0) -> Data:
    """How bright noisy images are, each of a level of its own."""
    random = np.random.default_rng(seed)
    level = random.uniform(0, 1, n)
    images = level[:, None, None, None] + random.normal(0, 0.2, (n, side, side, 1))
    return _values(images, level)


TASKS: dict[str, Callable[..., Data]] = {
    "table": lambda dataset, **how: _table(dataset, **how),
    "digit_images": _digit_images,
    "digit_copies": _digit_copies,
    "blobs": _blobs,
    "informative": _informative,
    "moons": _moons,
    "circles": _circles,
    "rare": _rare,
    "uneven": _uneven,
    "friedman": _friedman,
    "houses": _houses,
    "counts": _counts,
    "sine": _sine,
    "several": _several,
    "tags": _tags,
    "sentences": _sentences,
    "waves": _waves,
    "forecast": _forecast,
    "tagging": _tagging,
    "bars": _bars,
    "denoising": _denoising,
    "brightness": _brightness,
}
